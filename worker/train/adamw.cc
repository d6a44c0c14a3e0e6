#include "worker/train/adamw.h"

#include <torch/torch.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace g2ll::train {

bool HasWeightDecay(const NamedParameter& parameter) {
  return parameter.tensor.dim() > 1 && !parameter.name.ends_with(".bias");
}

double ClipGradients(const std::vector<NamedParameter>& parameters, double clip) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  for (const NamedParameter& parameter : parameters) {
    if (parameter.tensor.grad().defined()) gradients.push_back(parameter.tensor.grad());
  }
  if (gradients.empty()) return 0;

  const torch::Tensor norms = torch::stack(at::_foreach_norm(gradients)).to(torch::kFloat64).cpu();
  const double* norm = norms.const_data_ptr<double>();
  for (size_t i = 0; clip > 0 && i < gradients.size(); ++i) {
    if (norm[i] > clip) gradients[i].mul_(clip / (norm[i] + 1e-6));
  }
  return norms.norm().item<double>();
}

AdamW::AdamW(std::vector<NamedParameter> parameters, const Options& options)
    : parameters_(std::move(parameters)), options_(options) {
  torch::NoGradGuard no_grad;
  for (const NamedParameter& parameter : parameters_) {
    exp_avg_.push_back(torch::zeros_like(parameter.tensor));
    exp_avg_sq_.push_back(torch::zeros_like(parameter.tensor));
    step_.push_back(torch::zeros({}, parameter.tensor.options().dtype(torch::kFloat32)));
    has_decay_.push_back(HasWeightDecay(parameter));
  }
}

void AdamW::Step(double lr, double weight_decay, const std::vector<std::string>& frozen) {
  torch::NoGradGuard no_grad;
  // The fused kernel knows one decay for a list, so there are two lists.
  for (const bool decay : {true, false}) {
    std::vector<torch::Tensor> values, gradients, exp_avg, exp_avg_sq, steps;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const NamedParameter& parameter = parameters_[i];
      if (has_decay_[i] != decay || !parameter.tensor.grad().defined()) continue;
      if (std::find(frozen.begin(), frozen.end(), parameter.name) != frozen.end()) continue;
      values.push_back(parameter.tensor);
      gradients.push_back(parameter.tensor.grad());
      exp_avg.push_back(exp_avg_[i]);
      exp_avg_sq.push_back(exp_avg_sq_[i]);
      steps.push_back(step_[i]);
    }
    if (values.empty()) continue;
    at::_foreach_add_(steps, 1);
    at::_fused_adamw_(values, gradients, exp_avg, exp_avg_sq, /*max_exp_avg_sqs=*/{}, steps, lr,
                      options_.beta1, options_.beta2, decay ? weight_decay : 0.0, options_.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
}

std::vector<std::pair<std::string, torch::Tensor>> AdamW::State() const {
  std::vector<std::pair<std::string, torch::Tensor>> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    state.emplace_back(absl::StrCat(name, ".exp_avg"), exp_avg_[i]);
    state.emplace_back(absl::StrCat(name, ".exp_avg_sq"), exp_avg_sq_[i]);
    state.emplace_back(absl::StrCat(name, ".step"), step_[i]);
  }
  return state;
}

absl::Status AdamW::LoadState(const std::map<std::string, torch::Tensor>& state) {
  torch::NoGradGuard no_grad;
  for (auto& [name, target] : State()) {
    const auto found = state.find(name);
    if (found == state.end()) {
      return absl::InvalidArgumentError(absl::StrCat("optimizer state: ", name, " is missing"));
    }
    if (found->second.sizes() != target.sizes()) {
      return absl::InvalidArgumentError(
          absl::StrCat("optimizer state: ", name, " has ", found->second.numel(),
                       " elements in another shape than the model's ", target.numel()));
    }
    target.copy_(found->second);
  }
  return absl::OkStatus();
}

}  // namespace g2ll::train
