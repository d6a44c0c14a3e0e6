#include "worker/finetune/encoder_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <string>

#include "worker/checkpoint/module_state.h"
#include "worker/model/initialization.h"
#include "worker/model/position_interpolation.h"
#include "worker/model/position_table.h"

namespace g2ll::finetune {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

model::VitOptions Options(int image_size, bool learned_pos) {
  return {.image_size = image_size,
          .patch = 8,
          .dim = 16,
          .depth = 2,
          .heads = 2,
          .learned_pos = learned_pos};
}

model::VitEncoder Encoder(const model::VitOptions& options) {
  model::VitEncoder encoder(options);
  model::InitializeMae(encoder, model::MakeGenerator(7));
  return encoder;
}

checkpoint::TensorMap TensorsOf(const model::VitEncoder& encoder) {
  checkpoint::TensorMap tensors;
  for (const auto& [name, tensor] : checkpoint::StateOf(*encoder)) tensors[name] = tensor.clone();
  return tensors;
}

std::string MessageOf(const absl::StatusOr<checkpoint::TensorMap>& result) {
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string message(result.status().message());
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  return message;
}

TEST(HasFixedPositions, KnowsTheTableOfEveryGridAlsoInHalfPrecision) {
  const torch::Tensor table = model::SinCosPositions(4, 16);
  EXPECT_TRUE(HasFixedPositions(table));
  EXPECT_TRUE(HasFixedPositions(table.to(torch::kBFloat16)));
  EXPECT_FALSE(HasFixedPositions(table + 0.02 * torch::randn_like(table)));
  EXPECT_FALSE(HasFixedPositions(torch::zeros({1, 16, 16})));
  EXPECT_FALSE(HasFixedPositions(torch::zeros({4, 4})));
}

TEST(FitEncoder, OfTheSameShapeKeepsEveryBit) {
  for (const bool learned : {false, true}) {
    const auto source = TensorsOf(Encoder(Options(32, learned)));
    const auto fitted = FitEncoder(source, model::VitEncoder(Options(32, learned)), "file");
    ASSERT_TRUE(fitted.ok()) << fitted.status();
    ASSERT_EQ(fitted->size(), source.size());
    for (const auto& [name, tensor] : source) EXPECT_TRUE(torch::equal(tensor, fitted->at(name)));
  }
}

TEST(FitEncoder, AnotherImageSizeGetsANewFixedTableOrAResizedTrainedOne) {
  const auto fixed = FitEncoder(TensorsOf(Encoder(Options(32, false))),
                                model::VitEncoder(Options(48, false)), "file");
  ASSERT_TRUE(fixed.ok()) << fixed.status();
  EXPECT_TRUE(torch::equal(fixed->at("pos_embed"), model::SinCosPositions(6, 16)));

  const auto source = TensorsOf(Encoder(Options(32, true)));
  const auto learned = FitEncoder(source, model::VitEncoder(Options(48, true)), "file");
  ASSERT_TRUE(learned.ok()) << learned.status();
  EXPECT_TRUE(torch::equal(learned->at("pos_embed"),
                           model::InterpolatePositions(source.at("pos_embed"), 6,
                                                       model::PositionSampling::kGuardedFactor)));
}

TEST(FitEncoder, LeavesOutASegmentationDecoder) {
  auto source = TensorsOf(Encoder(Options(32, false)));
  source["seg.head.weight"] = torch::zeros({1, 16, 3, 3});
  const auto fitted = FitEncoder(source, model::VitEncoder(Options(32, false)), "file");
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_FALSE(fitted->contains("seg.head.weight"));
}

TEST(FitEncoder, NamesWhatDiffersHowManyMoreAndWhichKeysToChange) {
  model::VitOptions wide = Options(32, false);
  wide.dim = 32;
  wide.depth = 3;
  const std::string message = MessageOf(
      FitEncoder(TensorsOf(Encoder(Options(32, false))), model::VitEncoder(wide), "file"));
  EXPECT_THAT(message, HasSubstr("file: "));
  EXPECT_THAT(message, HasSubstr("cls_token is [1,1,16], expected [1,1,32]"));
  EXPECT_THAT(message, HasSubstr("more tensors"));
  EXPECT_THAT(message, HasSubstr("set model.dim 16 and model.depth 2"));
}

TEST(FitEncoder, NamesAnotherPatchAndMissingTensors) {
  auto source = TensorsOf(Encoder(Options(32, false)));
  source.erase("norm.bias");
  source["extra"] = torch::zeros({2});
  const std::string missing =
      MessageOf(FitEncoder(source, model::VitEncoder(Options(32, false)), "file"));
  EXPECT_THAT(missing, HasSubstr("norm.bias [16] is missing"));
  EXPECT_THAT(missing, HasSubstr("extra [2] is not expected"));

  model::VitOptions coarse = Options(32, false);
  coarse.patch = 16;
  EXPECT_THAT(MessageOf(FitEncoder(TensorsOf(Encoder(Options(32, false))),
                                   model::VitEncoder(coarse), "file")),
              HasSubstr("set model.patch 8"));
}

TEST(FitEncoder, RefusesFixedPositionsForTrainedOnesAndTheReverse) {
  EXPECT_THAT(MessageOf(FitEncoder(TensorsOf(Encoder(Options(32, true))),
                                   model::VitEncoder(Options(32, false)), "file")),
              HasSubstr("set model.positions learned"));
  EXPECT_THAT(MessageOf(FitEncoder(TensorsOf(Encoder(Options(32, false))),
                                   model::VitEncoder(Options(48, true)), "file")),
              HasSubstr("set model.positions sincos2d"));
}

}  // namespace
}  // namespace g2ll::finetune
