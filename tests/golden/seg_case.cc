// seg: the segmentation model over two Adam steps.
#include <torch/torch.h>

#include "tests/golden/cases.h"
#include "tests/golden/formula.h"
#include "tests/golden/models.h"
#include "worker/loss/segmentation_loss.h"
#include "worker/model/segmentation_network.h"

namespace g2ll::golden {
namespace {

// [B,1,256,256] float32: a filled disc for each [row, column, radius].
torch::Tensor Discs(const nlohmann::json& discs) {
  const torch::Tensor axis = torch::arange(256);
  std::vector<torch::Tensor> masks;
  for (const auto& disc : discs) {
    const torch::Tensor rows = (axis - disc[0].get<int64_t>()).square().unsqueeze(1);
    const torch::Tensor columns = (axis - disc[1].get<int64_t>()).square().unsqueeze(0);
    const auto radius = disc[2].get<int64_t>();
    masks.push_back((rows + columns <= radius * radius).to(torch::kFloat32).unsqueeze(0));
  }
  return torch::stack(masks).to(Device());
}

// Rows 3::16 and columns 5::16 of the logits.
torch::Tensor Sparse(const torch::Tensor& logits) {
  return logits.select(1, 0).slice(1, 3, c10::nullopt, 16).slice(2, 5, c10::nullopt, 16);
}

}  // namespace

void CheckSeg(GoldenCase& golden) {
  const auto& config = golden.config();
  const torch::Tensor images = Images(golden.Key(config.at("input")), config.at("batch"));
  const torch::Tensor masks = Discs(config.at("discs_cy_cx_radius"));
  model::SegmentationNetwork network{model::SegmentationOptions{}};
  FillModule(*network->encoder(), golden.salt());
  FillModule(*network->decoder(), golden.salt(), "seg.");
  StepRecord record;
  record.Add(*network->encoder());
  record.Add(*network->decoder(), "seg.");
  train::AdamW optimizer(record.parameters(),
                         {config.at("betas")[0], config.at("betas")[1], config.at("eps")});
  for (int step = 0; step < 2; ++step) {
    const std::string name = "step" + std::to_string(step);
    const torch::Tensor logits = network->forward(images);
    const loss::SegmentationLossParts parts = loss::SegmentationLoss(logits, masks);
    record.ZeroGradients();
    parts.total.backward();
    golden.Check(name + ".loss", parts.total);
    golden.Check(name + ".bce", parts.bce);
    golden.Check(name + ".dice", parts.dice);
    golden.Check(name + ".dice_batch",
                 loss::SegmentationLoss(logits, masks, loss::DiceReduction::kBatch).dice);
    golden.Check(name + ".logits", Sparse(logits));
    record.CheckGradients(golden, name);
    optimizer.Step(config.at("lr"), config.at("wd"));
    record.CheckUpdate(golden, name);
  }
  const auto buffers = network->named_buffers();
  golden.CheckRows("running", [&](const std::string& name) { return buffers[name]; });
  network->eval();
  torch::NoGradGuard no_grad;
  const torch::Tensor logits = network->forward(images);
  golden.Check("eval.logits", Sparse(logits));
  golden.Check("eval.positive_share", (logits > 0).to(torch::kFloat32).mean({1, 2, 3}));
  const torch::Tensor square = torch::tensor({{0.0f, 1.0f}, {2.0f, 3.0f}}).reshape({1, 1, 2, 2});
  const std::vector<int64_t> size = {4, 4};
  golden.Check("upsample", torch::upsample_bilinear2d(square, size, /*align_corners=*/true));
}

}  // namespace g2ll::golden
