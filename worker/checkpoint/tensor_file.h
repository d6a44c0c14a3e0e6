#ifndef WORKER_CHECKPOINT_TENSOR_FILE_H_
#define WORKER_CHECKPOINT_TENSOR_FILE_H_

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace g2ll::checkpoint {

// Tensors with names, in a stable order.
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;
using TensorMap = std::map<std::string, torch::Tensor>;

// Writes a safetensors file. Tensors may lie on any device and need not be
// contiguous; each is copied to the CPU on its own, so a file needs the memory of
// its tensors only once more. Errors: InvalidArgument (dtype or name that the
// format does not know), Unavailable (cannot be written).
absl::Status SaveTensors(const std::filesystem::path& path, const NamedTensors& tensors,
                         const std::map<std::string, std::string>& metadata = {});

// Reads a whole file; the tensors are on the CPU and own their memory.
// Errors: NotFound, Unavailable, DataLoss (damaged; names file and tensor).
absl::StatusOr<TensorMap> LoadTensors(const std::filesystem::path& path);

}  // namespace g2ll::checkpoint

#endif  // WORKER_CHECKPOINT_TENSOR_FILE_H_
