#include "worker/train/adamw.h"

#include <torch/torch.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace g2ll::train {

bool HasWeightDecay(const NamedParameter& parameter) {
  return parameter.tensor.dim() > 1 && !parameter.name.ends_with(".bias");
}

double ClipGradients(const std::vector<NamedParameter>& parameters, double clip, ClipMode mode) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  for (const NamedParameter& parameter : parameters) {
    if (parameter.tensor.grad().defined()) gradients.push_back(parameter.tensor.grad());
  }
  if (gradients.empty()) return 0;

  const torch::Tensor norms = torch::stack(at::_foreach_norm(gradients)).to(torch::kFloat64).cpu();
  const auto total = norms.norm().item<double>();
  const double* norm = norms.const_data_ptr<double>();
  for (size_t i = 0; clip > 0 && i < gradients.size(); ++i) {
    const double measured = mode == ClipMode::kGlobal ? total : norm[i];
    if (measured > clip) gradients[i].mul_(clip / (measured + 1e-6));
  }
  return total;
}

AdamW::AdamW(std::vector<NamedParameter> parameters, const Options& options)
    : parameters_(std::move(parameters)), options_(options) {
  torch::NoGradGuard no_grad;
  for (const NamedParameter& parameter : parameters_) {
    exp_avg_.push_back(torch::zeros_like(parameter.tensor));
    exp_avg_sq_.push_back(torch::zeros_like(parameter.tensor));
    step_.push_back(torch::zeros({}, parameter.tensor.options().dtype(torch::kFloat32)));
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const bool has_decay = HasWeightDecay(parameters_[i]);
    const double lr_scale = parameters_[i].lr_scale;
    auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& each) {
      return each.has_decay == has_decay && each.lr_scale == lr_scale;
    });
    if (group == groups_.end()) group = groups_.insert(group, {has_decay, lr_scale, {}});
    group->members.push_back(i);
  }
}

void AdamW::Step(double lr, double weight_decay, const std::vector<std::string>& frozen) {
  torch::NoGradGuard no_grad;
  // The fused kernel knows one rate and one decay for a list.
  for (const Group& group : groups_) {
    std::vector<torch::Tensor> values, gradients, exp_avg, exp_avg_sq, steps;
    for (const size_t i : group.members) {
      const NamedParameter& parameter = parameters_[i];
      if (!parameter.tensor.grad().defined()) continue;
      if (std::find(frozen.begin(), frozen.end(), parameter.name) != frozen.end()) continue;
      values.push_back(parameter.tensor);
      gradients.push_back(parameter.tensor.grad());
      exp_avg.push_back(exp_avg_[i]);
      exp_avg_sq.push_back(exp_avg_sq_[i]);
      steps.push_back(step_[i]);
    }
    if (values.empty()) continue;
    at::_foreach_add_(steps, 1);
    at::_fused_adamw_(values, gradients, exp_avg, exp_avg_sq, /*max_exp_avg_sqs=*/{}, steps,
                      lr * group.lr_scale, options_.beta1, options_.beta2,
                      group.has_decay ? weight_decay : 0.0, options_.epsilon,
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
