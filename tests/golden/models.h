#ifndef TESTS_GOLDEN_MODELS_H_
#define TESTS_GOLDEN_MODELS_H_

#include <torch/types.h>

#include <map>
#include <string>
#include <vector>

#include "tests/golden/golden_case.h"
#include "worker/mask/mask_strategy.h"
#include "worker/train/adamw.h"

namespace g2ll::golden {

// [B,k] int64 ids, on Device(), of the patches whose value in `mask` [B,n] is `masked`.
torch::Tensor PatchIds(const torch::Tensor& mask, bool masked);

// Mask of one 16x16 map as [256] uint8; `labels` [256] may be undefined for
// strategies that do not read them.
torch::Tensor DrawMask(const mask::MaskOptions& options, const torch::Tensor& labels,
                       const torch::Tensor& noise);

// Parameters under their exported names, and what the reference says of them
// after each step.
class StepRecord {
 public:
  // Adds a module's parameters; each name comes after `prefix`. Parameters that do
  // not require a gradient are left out.
  void Add(torch::nn::Module& module, const std::string& prefix = "");

  const std::vector<train::NamedParameter>& parameters() const { return parameters_; }
  torch::Tensor Parameter(const std::string& name) const;
  torch::Tensor Gradient(const std::string& name) const;
  // Minus the value at Add.
  torch::Tensor Delta(const std::string& name) const;
  void ZeroGradients();

  // STEP.grad before the update.
  void CheckGradients(GoldenCase& golden, const std::string& step) const;
  // STEP.param and STEP.delta after it.
  void CheckUpdate(GoldenCase& golden, const std::string& step) const;

 private:
  std::vector<train::NamedParameter> parameters_;
  std::map<std::string, torch::Tensor> now_;
  std::map<std::string, torch::Tensor> before_;
};

}  // namespace g2ll::golden

#endif  // TESTS_GOLDEN_MODELS_H_
