#ifndef WORKER_TRAIN_ADAMW_H_
#define WORKER_TRAIN_ADAMW_H_

#include <torch/types.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace g2ll::train {

// A parameter with its name in checkpoints.
struct NamedParameter {
  std::string name;
  torch::Tensor tensor;
  // Factor on the learning rate (layer-wise decay), above 0.
  double lr_scale = 1;
};

// Whether weight decay acts on a parameter: not on one-dimensional tensors and
// not where the name ends in `.bias` (method section 1.3).
bool HasWeightDecay(const NamedParameter& parameter);

// Whose norm is compared with the limit.
enum class ClipMode {
  kPerTensor,  // each gradient's own (DINO)
  kGlobal,     // that over all gradients
};

// Clips gradients: where the norm exceeds `clip` they are scaled by
// clip / (norm + 1e-6); 0 is no clipping. Parameters without a gradient are left
// out. Returns the norm over all gradients before clipping; not finite if any
// gradient is not.
double ClipGradients(const std::vector<NamedParameter>& parameters, double clip,
                     ClipMode mode = ClipMode::kPerTensor);

// AdamW with decoupled weight decay; with a decay of 0 it is Adam.
//
// Decay comes first (p *= 1 - lr * lr_scale * wd) and acts only where HasWeightDecay says
// so. A parameter that is frozen at a step keeps its value, its moments and its
// own step count, which the bias correction uses. Not thread-safe.
class AdamW {
 public:
  struct Options {
    double beta1 = 0.9;
    double beta2 = 0.95;
    double epsilon = 1e-8;
  };

  // Moments start at zero. The tensors are shared with the model and changed in place.
  AdamW(std::vector<NamedParameter> parameters, const Options& options);

  const std::vector<NamedParameter>& parameters() const { return parameters_; }

  // One update from the gradients, which stay as they are. `frozen` names
  // parameters that are left out of it.
  void Step(double lr, double weight_decay, const std::vector<std::string>& frozen = {});

  // Moments and step counts: `NAME.exp_avg`, `NAME.exp_avg_sq` of the
  // parameter's shape and `NAME.step` [] float32, sharing memory with this object.
  std::vector<std::pair<std::string, torch::Tensor>> State() const;

  // Takes over the values of a State. Errors: InvalidArgument naming the first
  // tensor that is missing or misshapen.
  absl::Status LoadState(const std::map<std::string, torch::Tensor>& state);

 private:
  std::vector<NamedParameter> parameters_;
  Options options_;
  std::vector<torch::Tensor> exp_avg_, exp_avg_sq_, step_;
  // Parameters that are updated alike, by index.
  struct Group {
    bool has_decay = false;
    double lr_scale = 1;
    std::vector<size_t> members;
  };
  std::vector<Group> groups_;
};

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_ADAMW_H_
