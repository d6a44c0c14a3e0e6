// losses: small losses and the optimiser on inputs of the formula. The manifest
// describes the inputs in words; the numbers here are those of its `config`.
#include <torch/torch.h>

#include "tests/golden/cases.h"
#include "tests/golden/formula.h"
#include "worker/loss/gram_loss.h"
#include "worker/loss/koleo_loss.h"
#include "worker/loss/segmentation_loss.h"
#include "worker/loss/sinkhorn.h"
#include "worker/train/adamw.h"

namespace g2ll::golden {
namespace {

void CheckSegmentationLoss(GoldenCase& golden) {
  const std::vector<int64_t> shape = {3, 1, 12, 10};
  torch::Tensor logits = Fill(golden.Key("loss/logits"), shape, 4.0);
  logits.requires_grad_();
  torch::Tensor masks =
      (Uniform(golden.Key("loss/target"), shape) < 0.3).to(Device(), torch::kFloat32);
  masks[2].zero_();
  const loss::SegmentationLossParts parts = loss::SegmentationLoss(logits, masks);
  parts.total.backward();
  golden.Check("seg_total", parts.total);
  golden.Check("bce", parts.bce);
  golden.Check("dice", parts.dice);
  golden.Check("dice_batch",
               loss::SegmentationLoss(logits, masks, loss::DiceReduction::kBatch).dice);
  golden.Check("seg_grad", logits.grad());
}

void CheckOptimizer(GoldenCase& golden) {
  const std::vector<int64_t> shape = {5, 7};
  torch::Tensor weight = Fill(golden.Key("loss/adamw_w"), shape, 1.0);
  weight.requires_grad_();
  const std::vector<train::NamedParameter> parameters = {{"weight", weight}};
  train::AdamW optimizer(parameters, {.beta1 = 0.9, .beta2 = 0.95});
  for (int step = 0; step < 5; ++step) {
    const std::string index = std::to_string(step);
    weight.mutable_grad() = Fill(golden.Key("loss/adamw_g" + index), shape, 1.0);
    golden.Check("clip_norm" + index, train::ClipGradients(parameters, 3.0));
    optimizer.Step(1.5e-4, 0.05);
    golden.Check("adamw" + index, weight);
  }
}

}  // namespace

void CheckLosses(GoldenCase& golden) {
  CheckSegmentationLoss(golden);
  golden.Check("koleo", loss::KoLeoLoss(Fill(golden.Key("loss/koleo"), {7, 16}, 1.0)));
  golden.Check("sinkhorn",
               loss::SinkhornAssignments(Fill(golden.Key("loss/sinkhorn"), {6, 10}, 1.0),
                                         {.temperature = 0.1, .iterations = 3}));
  golden.Check("gram", loss::GramLoss(Fill(golden.Key("loss/gram_s"), {2, 9, 16}, 1.0),
                                      Fill(golden.Key("loss/gram_t"), {2, 9, 16}, 1.0)));
  CheckOptimizer(golden);
}

}  // namespace g2ll::golden
