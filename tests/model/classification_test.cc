#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "worker/loss/classification_loss.h"
#include "worker/model/classifier.h"
#include "worker/model/initialization.h"

namespace g2ll {
namespace {

using loss::ClassificationLossSum;

const auto kDouble = torch::dtype(torch::kFloat64);

// ISIC 2019: MEL NV BCC AK BKL DF VASC SCC.
const std::vector<int64_t> kIsicCounts = {4522, 12875, 3323, 867, 2624, 239, 253, 628};

// The loss of a whole batch.
torch::Tensor ClassificationLoss(const torch::Tensor& logits, const torch::Tensor& targets,
                                 const loss::ClassificationOptions& options) {
  std::vector<int64_t> counts(static_cast<size_t>(logits.size(1)), 0);
  for (int64_t i = 0; i < targets.size(0); ++i) {
    ++counts.at(static_cast<size_t>(targets[i].item<int64_t>()));
  }
  return ClassificationLossSum(logits, targets, options) / loss::TotalWeight(counts, options);
}

model::Classifier TinyClassifier() {
  model::Classifier classifier(model::ClassifierOptions{
      .vit = {
          .image_size = 16, .patch = 4, .dim = 8, .depth = 1, .heads = 2, .learned_pos = true}});
  model::InitializeClassifier(classifier, model::MakeGenerator(5));
  return classifier;
}

TEST(Classifier, HasTheParameterCountsOfTheMethod) {
  const model::Classifier classifier(model::ClassifierOptions{});
  int64_t head = 0;
  for (const auto& parameter : classifier->head()->parameters()) head += parameter.numel();
  EXPECT_EQ(head, 3080);
  int64_t all = 0;
  for (const auto& parameter : classifier->parameters()) all += parameter.numel();
  EXPECT_EQ(all, 21688704 + 3080);
}

TEST(Classifier, ReadsTheClassTokenAndRegistersItsHead) {
  model::Classifier classifier = TinyClassifier();
  classifier->eval();
  const torch::Tensor images = torch::randn({2, 3, 16, 16});
  const torch::Tensor logits = classifier->forward(images);
  EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{2, 8}));
  const torch::Tensor cls = classifier->encoder()->forward(images).select(1, 0);
  EXPECT_TRUE(torch::equal(logits, classifier->head()->forward(cls)));
  EXPECT_NE(classifier->named_parameters().find("classifier.weight"), nullptr);
}

TEST(Classifier, StartsAlmostUniform) {
  model::Classifier classifier = TinyClassifier();
  const auto parameters = classifier->named_parameters();
  EXPECT_TRUE(torch::equal(parameters["classifier.bias"], torch::zeros({8})));
  EXPECT_LT(parameters["classifier.weight"].abs().max().item<double>(), 0.1);
  const torch::Tensor logits = classifier->forward(torch::randn({4, 3, 16, 16}));
  EXPECT_NEAR(ClassificationLoss(logits, torch::arange(4), {}).item<double>(), std::log(8.0), 0.3);
}

TEST(Classifier, RefusesASingleClass) {
  EXPECT_THROW(model::Classifier(model::ClassifierOptions{.num_classes = 1}), c10::Error);
}

// Method section 7, "class weights".
TEST(ClassWeights, AreTheRootsOfTheMethodOrFullInverses) {
  const std::vector<double> roots = loss::ClassWeights(kIsicCounts);
  const std::vector<double> inverses = loss::ClassWeights(kIsicCounts, 1);
  const std::vector<double> expected_roots = {.84, .50, .98, 1.91, 1.10, 3.64, 3.54, 2.25};
  const std::vector<double> expected = {.70, .25, .95, 3.65, 1.21, 13.2, 12.5, 5.04};
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(roots[i], expected_roots[i], .005) << i;
    EXPECT_NEAR(inverses[i], expected[i], .006 * std::max(1.0, expected[i])) << i;
  }
}

TEST(ClassWeights, AClassWithoutImagesCountsNothingAndChangesNoOther) {
  const std::vector<double> weights = loss::ClassWeights(std::vector<int64_t>{6, 0, 2}, 1);
  EXPECT_NEAR(weights[0], 8 / (2. * 6), 1e-12);
  EXPECT_EQ(weights[1], 0);
  EXPECT_NEAR(weights[2], 8 / (2. * 2), 1e-12);
  EXPECT_EQ(loss::ClassWeights(std::vector<int64_t>{6, 2}, 0), (std::vector<double>{1, 1}));
  EXPECT_THROW(loss::ClassWeights(std::vector<int64_t>{0, 0}), c10::Error);
}

TEST(ClassWeights, TheTotalOfABatchIsTheSumOverItsImages) {
  const std::vector<int64_t> counts = {3, 0, 2};
  EXPECT_EQ(loss::TotalWeight(counts, {}), 5);
  EXPECT_NEAR(loss::TotalWeight(counts, {.class_weights = {.5, 7, 2}}), 5.5, 1e-12);
  EXPECT_THROW(loss::TotalWeight(counts, {.class_weights = {1}}), c10::Error);
}

// Method section 7, "class weights": prior entropy and ln 8.
TEST(ClassificationLoss, OfAConstantPriorIsTheEntropyOfTheClasses) {
  const torch::Tensor counts = torch::tensor(kIsicCounts).to(torch::kFloat64);
  const torch::Tensor targets = torch::arange(8).repeat_interleave(torch::tensor(kIsicCounts));
  const torch::Tensor prior = (counts / counts.sum()).log().expand({targets.size(0), 8});
  EXPECT_NEAR(ClassificationLoss(prior, targets, {}).item<double>(), 1.45006, 1e-5);
  EXPECT_NEAR(ClassificationLoss(torch::zeros_like(prior), targets, {}).item<double>(), 2.07944,
              1e-5);
}

// Worked out by hand from the formula in the header.
TEST(ClassificationLoss, DividesByTheWeightsOfTheTrueClasses) {
  const torch::Tensor logits = torch::tensor({{.25, .75}, {.5, .5}}, kDouble).log();
  const torch::Tensor targets = torch::tensor({1, 0});
  const double first = -std::log(.25), second = -std::log(.75), even = std::log(2.0);
  const loss::ClassificationOptions weighted{.class_weights = {3, 1}};
  EXPECT_NEAR(ClassificationLoss(logits, targets, weighted).item<double>(), (second + 3 * even) / 4,
              1e-12);
  const loss::ClassificationOptions smoothed{.class_weights = {3, 1}, .label_smoothing = .2};
  EXPECT_NEAR(ClassificationLoss(logits, targets, smoothed).item<double>(),
              (.8 * second + .1 * (3 * first + second) + .8 * 3 * even + .1 * (3 + 1) * even) / 4,
              1e-12);
}

TEST(ClassificationLoss, SumsOfTwoRanksMakeTheLossOfTheWholeBatch) {
  torch::manual_seed(3);
  const torch::Tensor logits = torch::randn({8, 3}, kDouble);
  const torch::Tensor targets = torch::tensor({0, 1, 2, 2, 1, 0, 0, 0});
  const loss::ClassificationOptions options{.class_weights = {.5, 1, 4}, .label_smoothing = .1};
  const auto left = ClassificationLossSum(logits.slice(0, 0, 4), targets.slice(0, 0, 4), options);
  const auto right = ClassificationLossSum(logits.slice(0, 4), targets.slice(0, 4), options);
  const double weight = 4 * .5 + 2 * 1 + 2 * 4;
  EXPECT_NEAR(((left + right) / weight).item<double>(),
              ClassificationLoss(logits, targets, options).item<double>(), 1e-12);
}

TEST(ClassificationLoss, RefusesWhatDoesNotFit) {
  const torch::Tensor logits = torch::zeros({2, 3});
  EXPECT_THROW(ClassificationLossSum(logits, torch::tensor({0}), {}), c10::Error);
  EXPECT_THROW(ClassificationLossSum(logits, torch::tensor({0, 1}), {.class_weights = {1, 1}}),
               c10::Error);
}

}  // namespace
}  // namespace g2ll
