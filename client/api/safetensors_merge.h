#ifndef CLIENT_API_SAFETENSORS_MERGE_H_
#define CLIENT_API_SAFETENSORS_MERGE_H_

#include <filesystem>
#include <vector>

#include "absl/status/status.h"

namespace g2ll::client {

// Writes the tensors of `sources`, in that order and under their names, into one
// safetensors file. Data are copied piece by piece, so memory stays small.
// Errors: DATA_LOSS (a source is no safetensors file, or a name comes twice),
// UNAVAILABLE (reason LOCAL_WRITE_FAILED).
absl::Status MergeSafetensors(const std::vector<std::filesystem::path>& sources,
                              const std::filesystem::path& target);

}  // namespace g2ll::client

#endif  // CLIENT_API_SAFETENSORS_MERGE_H_
