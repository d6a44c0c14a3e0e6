#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/data/test_files.h"
#include "tests/evaluate/tiny_segmenter.h"
#include "worker/evaluate/image_scorer.h"
#include "worker/evaluate/segmenter.h"
#include "worker/report/report_json.h"

namespace g2ll::evaluate {
namespace {

using ::testing::HasSubstr;

class TtaTest : public testing::Test {
 protected:
  void SetUp() override { test::WriteExportedModel(test::MakeTinyNetwork(5), folder_ / "model"); }

  Segmenter Load() {
    auto segmenter = Segmenter::Load(folder_ / "model", "cpu");
    EXPECT_TRUE(segmenter.ok()) << segmenter.status();
    return *std::move(segmenter);
  }

  data::test::TemporaryFolder folder_;
};

TEST_F(TtaTest, FlipsAreTheMeanOfTheLogitsOfFourMirrorImages) {
  Segmenter segmenter = Load();
  const torch::Tensor images = torch::rand({2, 3, 32, 32});

  const torch::Tensor logits = segmenter.Predict(images, Tta::kFlips);

  torch::Tensor sum = segmenter.Predict(images);
  sum = sum + segmenter.Predict(images.flip({2})).flip({2});
  sum = sum + segmenter.Predict(images.flip({3})).flip({3});
  sum = sum + segmenter.Predict(images.rot90(2, {2, 3})).rot90(2, {2, 3});
  EXPECT_TRUE(torch::allclose(logits, sum / 4, 1e-5, 1e-6));
  EXPECT_FALSE(torch::allclose(logits, segmenter.Predict(images), 1e-5, 1e-6));
}

TEST_F(TtaTest, FlipsMakeThePredictionTurnWithTheImage) {
  Segmenter segmenter = Load();
  const torch::Tensor images = torch::rand({2, 3, 32, 32});

  EXPECT_TRUE(torch::allclose(segmenter.Predict(images.flip({3}), Tta::kFlips),
                              segmenter.Predict(images, Tta::kFlips).flip({3}), 1e-5, 1e-6));
}

// Logits with a large square, a small one and, at twice the size, the same.
torch::Tensor TwoSquares() {
  torch::Tensor logits = torch::full({1, 16, 16}, -5.0F);
  logits.slice(1, 2, 10).slice(2, 2, 10) = 5.0F;
  logits.slice(1, 13, 15).slice(2, 13, 15) = 5.0F;
  return logits;
}

data::LesionMask SquareTruth(int scale) {
  data::LesionMask truth = data::test::PlainMask(16 * scale, 16 * scale, 0);
  for (int y = 2 * scale; y < 10 * scale; ++y) {
    std::fill_n(truth.pixels.begin() + y * 16 * scale + 2 * scale, 8 * scale, 255);
  }
  return truth;
}

TEST(ImageScorerTest, PostprocessingWorksAtBothSizes) {
  ImageScorer keep(Postprocess::kKeep);
  ImageScorer largest(Postprocess::kLargestComponent);
  for (ImageScorer* scorer : {&keep, &largest}) {
    scorer->Add("a", TwoSquares(), SquareTruth(1).pixels, SquareTruth(3));
  }

  EXPECT_LT(keep.images()[0].dice, 1);
  EXPECT_LT(keep.images()[0].dice_native, 0.99);
  EXPECT_EQ(largest.images()[0].dice, 1);
  EXPECT_GT(largest.images()[0].dice_native, 0.98);
  EXPECT_GT(keep.images()[0].dice_native, 0.9);
  EXPECT_EQ(largest.images()[0].width, 48);
  EXPECT_EQ(largest.images()[0].lesion_pixels, 24 * 24);
}

TEST(ImageScorerTest, FurtherScoresStandInTheReport) {
  ImageScorer scorer(Postprocess::kKeep);
  scorer.Add("hit", TwoSquares(), SquareTruth(1).pixels, SquareTruth(1));
  // An empty truth: every score is 0 and there is no distance.
  const data::LesionMask empty = data::test::PlainMask(16, 16, 0);
  scorer.Add("empty", TwoSquares(), empty.pixels, empty);
  report::ReportInput input;
  scorer.Fill(1, input);
  input.protocol = {NameOf(Tta::kFlips), NameOf(Postprocess::kLargestComponent), kLesionThreshold};

  const nlohmann::json json = nlohmann::json::parse(report::BuildReportJson(input));

  // 64 pixels hit and 4 too many, then 68 too many.
  const double iou = 64.0 / 68;
  EXPECT_NEAR(json["iou"]["mean"], iou / 2, 1e-9);
  EXPECT_NEAR(json["thresholdJaccard"]["mean"], iou / 2, 1e-9);
  EXPECT_NEAR(json["pooled"]["iou"], 64.0 / (68 + 68), 1e-9);
  EXPECT_THAT(json["pooled"]["note"].get<std::string>(), HasSubstr("not comparable"));
  EXPECT_EQ(json["hd95Native"]["excluded"], 1);
  EXPECT_GE(json["hd95Native"]["mean"], 0);
  EXPECT_EQ(json["protocol"]["tta"], "flips");
  EXPECT_EQ(json["protocol"]["postprocess"], "largest_component");
  EXPECT_EQ(json["protocol"]["threshold"], 0.5);
  EXPECT_THAT(report::BuildPerImageCsv(input), HasSubstr("0.000000,NaN,16,16,0\n"));
}

}  // namespace
}  // namespace g2ll::evaluate
