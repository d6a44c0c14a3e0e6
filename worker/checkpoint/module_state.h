#ifndef WORKER_CHECKPOINT_MODULE_STATE_H_
#define WORKER_CHECKPOINT_MODULE_STATE_H_

#include <torch/nn/module.h>
#include <torch/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "worker/checkpoint/tensor_file.h"

namespace g2ll::checkpoint {

// Parameters, then buffers, of a module, each name after `prefix`. The tensors
// share storage with the module and carry no gradient.
NamedTensors StateOf(const torch::nn::Module& module, std::string_view prefix = "");

// Copies `source` into `destination`, whose tensors are written in place; device
// and dtype of the destination stay. Strict: unless both have the same names and
// shapes nothing is copied.
// Error: FailedPrecondition, one line that starts with `what` and lists missing,
// unexpected and misshapen tensors (the first few of each, with shapes).
absl::Status LoadState(const NamedTensors& destination, const TensorMap& source,
                       std::string_view what);

// LoadState from a tensor file, which the messages name. Errors: those of LoadTensors and
// of LoadState.
absl::Status LoadStateFile(const NamedTensors& destination, const std::filesystem::path& file);

}  // namespace g2ll::checkpoint

#endif  // WORKER_CHECKPOINT_MODULE_STATE_H_
