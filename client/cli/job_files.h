#ifndef CLIENT_CLI_JOB_FILES_H_
#define CLIENT_CLI_JOB_FILES_H_

#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/common/spec_yaml.h"

namespace g2ll::cli {

// Text of the job file `path`, `-` being `in`. Never reads more than a job file
// may have. Errors: NotFound, InvalidArgument (too large, a folder), each one
// line that names the file.
absl::StatusOr<std::string> ReadJobFile(const std::string& path, std::istream& in);

// `a.b=c` taken apart. Error: InvalidArgument.
absl::StatusOr<spec::Override> ParseOverride(const std::string& text);

// Reads, maps, completes paths and checks the jobs of a file. `current_dir` is
// what relative paths of data and models begin at. Returns the jobs without
// defaults, or all faults, one line each, with the lines of the file.
struct LoadedJobs {
  std::vector<spec::JobDocument> jobs;
  std::vector<std::string> faults;
};
LoadedJobs LoadJobs(const std::string& file_name, const std::string& text,
                    const std::vector<spec::Override>& overrides, const std::string& current_dir);

// Short names of jobs that a job waits for or starts from.
std::vector<std::string> NeededJobs(const v1::JobSpec& spec);

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_JOB_FILES_H_
