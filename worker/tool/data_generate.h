#ifndef WORKER_TOOL_DATA_GENERATE_H_
#define WORKER_TOOL_DATA_GENERATE_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/status/status.h"

namespace g2ll::tool {

struct GenerateOptions {
  std::string folder;   // absent or empty
  int64_t count = 256;  // training images; max(8, count / 4) of validation and of test
  int64_t seed = 1;
  int size = 256;  // pixels per side
};

// Writes a synthetic set in the layout of ISIC-2017 as downloaded: JPEG images, PNG
// masks, folders for training, validation and test. The folder appears complete or not
// at all. Says on `out` what it wrote.
// Errors: AlreadyExists (a folder with something in it), InvalidArgument, Unavailable
// (the disk).
absl::Status GenerateData(const GenerateOptions& options, std::ostream& out);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_DATA_GENERATE_H_
