// classify: the supervised classifier over two AdamW steps.
#include <torch/torch.h>

#include "tests/golden/cases.h"
#include "tests/golden/formula.h"
#include "tests/golden/models.h"
#include "worker/loss/classification_loss.h"
#include "worker/model/classifier.h"

namespace g2ll::golden {
namespace {

// The loss of a batch of these classes.
torch::Tensor LossOf(const torch::Tensor& logits, const std::vector<int64_t>& classes,
                     const loss::ClassificationOptions& options) {
  std::vector<int64_t> counts(static_cast<size_t>(logits.size(1)), 0);
  for (const int64_t each : classes) ++counts.at(static_cast<size_t>(each));
  const torch::Tensor targets = torch::tensor(classes, torch::kInt64).to(Device());
  return loss::ClassificationLossSum(logits, targets, options) / loss::TotalWeight(counts, options);
}

}  // namespace

void CheckClassify(GoldenCase& golden) {
  const auto& config = golden.config();
  const torch::Tensor images = Images(golden.Key(config.at("input")), config.at("batch"));
  const auto targets = config.at("targets").get<std::vector<int64_t>>();
  const loss::ClassificationOptions weighted = {
      .class_weights = config.at("class_weight").get<std::vector<double>>()};
  loss::ClassificationOptions trained = weighted;
  trained.label_smoothing = config.at("label_smoothing");

  model::Classifier classifier(
      model::ClassifierOptions{.vit = {.drop_path = config.at("drop_path"), .learned_pos = true}});
  FillModule(*classifier->encoder(), golden.salt());
  FillModule(*classifier->head(), golden.salt(), "classifier.");
  StepRecord record;
  record.Add(*classifier->encoder());
  record.Add(*classifier->head(), "classifier.");
  train::AdamW optimizer(record.parameters(),
                         {config.at("betas")[0], config.at("betas")[1], config.at("eps")});
  for (int step = 0; step < 2; ++step) {
    const std::string name = "step" + std::to_string(step);
    const torch::Tensor logits = classifier->forward(images);
    const torch::Tensor loss = LossOf(logits, targets, trained);
    record.ZeroGradients();
    loss.backward();
    golden.Check(name + ".logits", logits);
    golden.Check(name + ".loss", loss);
    golden.Check(name + ".loss_plain", LossOf(logits, targets, {}));
    golden.Check(name + ".loss_weighted", LossOf(logits, targets, weighted));
    record.CheckGradients(golden, name);
    optimizer.Step(config.at("lr"), config.at("wd"));
    record.CheckUpdate(golden, name);
  }
}

}  // namespace g2ll::golden
