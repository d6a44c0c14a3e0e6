#include "tests/golden/models.h"

#include <torch/torch.h>

#include <span>
#include <stdexcept>

#include "tests/golden/formula.h"

namespace g2ll::golden {

torch::Tensor PatchIds(const torch::Tensor& mask, bool masked) {
  const torch::Tensor chosen = mask.to(torch::kBool) == masked;
  return chosen.nonzero().select(1, 1).reshape({mask.size(0), -1}).to(Device());
}

torch::Tensor DrawMask(const mask::MaskOptions& options, const torch::Tensor& labels,
                       const torch::Tensor& noise) {
  const auto strategy = mask::MakeMaskStrategy(options, 256);
  if (!strategy.ok()) throw std::runtime_error(std::string(strategy.status().message()));
  mask::PatchLabels map{{16, 16}, std::vector<int>(256, 0)};
  if (labels.defined()) {
    const torch::Tensor values = labels.to(torch::kInt32).contiguous();
    map.labels.assign(values.data_ptr<int>(), values.data_ptr<int>() + 256);
  }
  const torch::Tensor draws = noise.contiguous();
  const mask::PatchMask drawn = (*strategy)->Draw(
      mask::MakeRegionMap(map), std::span<const double>(draws.data_ptr<double>(), 256));
  torch::Tensor result = torch::zeros({256}, torch::kUInt8);
  for (int64_t id : drawn.MaskedIds()) result[id] = 1;
  return result;
}

void StepRecord::Add(torch::nn::Module& module, const std::string& prefix) {
  for (const auto& item : module.named_parameters()) {
    if (!item.value().requires_grad()) continue;
    const std::string name = prefix + item.key();
    parameters_.push_back({name, item.value()});
    now_[name] = item.value();
    before_[name] = item.value().detach().clone();
  }
}

torch::Tensor StepRecord::Parameter(const std::string& name) const {
  const auto it = now_.find(name);
  if (it == now_.end()) throw std::runtime_error("the model has no parameter " + name);
  return it->second.detach();
}

torch::Tensor StepRecord::Gradient(const std::string& name) const {
  Parameter(name);
  return now_.at(name).grad();
}

torch::Tensor StepRecord::Delta(const std::string& name) const {
  // In float64: the difference of two float32 values is not always one.
  return Parameter(name).to(torch::kFloat64) - before_.at(name).to(torch::kFloat64);
}

void StepRecord::ZeroGradients() {
  for (auto& parameter : parameters_) parameter.tensor.mutable_grad() = torch::Tensor();
}

void StepRecord::CheckGradients(GoldenCase& golden, const std::string& step) const {
  golden.CheckRows(step + ".grad", [this](const std::string& name) { return Gradient(name); });
}

void StepRecord::CheckUpdate(GoldenCase& golden, const std::string& step) const {
  golden.CheckRows(step + ".param", [this](const std::string& name) { return Parameter(name); });
  golden.CheckRows(step + ".delta", [this](const std::string& name) { return Delta(name); });
}

}  // namespace g2ll::golden
