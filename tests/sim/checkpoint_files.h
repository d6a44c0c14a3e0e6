#ifndef TESTS_SIM_CHECKPOINT_FILES_H_
#define TESTS_SIM_CHECKPOINT_FILES_H_

#include <cstdint>
#include <string>

namespace g2ll::sim {

// A checkpoint directory as CommitCheckpoint wants to hear of it.
struct WrittenCheckpoint {
  // Relative to the storage root.
  std::string path;
  std::string manifest_sha256;
  int64_t size_bytes = 0;
};

// Writes the smallest directory that the coordinator accepts: a manifest and one
// file. The same arguments write the same bytes. Ends the program if it cannot.
WrittenCheckpoint WriteCheckpoint(const std::string& storage_root, const std::string& job_uid,
                                  int64_t epoch, int64_t step);

// Writes a report of one small file and returns its directory relative to the root.
std::string WriteReport(const std::string& storage_root, const std::string& job_uid, int64_t epoch);

// Step in the path of a directory that WriteCheckpoint wrote; 0 for an empty path.
int64_t StepOfCheckpoint(const std::string& path);

}  // namespace g2ll::sim

#endif  // TESTS_SIM_CHECKPOINT_FILES_H_
