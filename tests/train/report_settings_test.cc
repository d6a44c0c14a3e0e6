#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>
#include <memory>
#include <string>

#include "proto/common/spec_defaults.h"
#include "worker/job/job_report.h"

namespace g2ll::job {
namespace {

using ::testing::HasSubstr;

std::map<std::string, report::Setting> ByPath(const v1::JobSpec& spec) {
  std::map<std::string, report::Setting> settings;
  for (const report::Setting& setting : SettingsOf(spec)) settings[setting.path] = setting;
  return settings;
}

TEST(SettingsOfTest, TellsWhatDiffersFromTheRecipeOfTheMethod) {
  v1::JobSpec spec;
  spec.mutable_pretrain()->set_recipe(v1::SMOKE);
  spec.mutable_pretrain()->set_method(v1::PretrainSpec::MAE);
  spec.mutable_pretrain()->mutable_mask()->set_gamma(0.25);
  spec::ApplyDefaults(&spec);

  auto settings = ByPath(spec);

  EXPECT_FALSE(settings["mask.gamma"].is_default);
  EXPECT_EQ(settings["mask.gamma"].value, "0.25");
  EXPECT_THAT(settings["mask.gamma"].source, HasSubstr("0.75"));
  EXPECT_TRUE(settings["mask.strategy"].is_default);
  EXPECT_EQ(settings["mask.strategy"].value, "random");
  EXPECT_EQ(settings["mask.strategy"].source, "MAE");
  EXPECT_TRUE(settings["method"].is_default);
}

TEST(ImageOfTest, UndoesTheScaleAndCutsWhatCannotBeShown) {
  torch::Tensor pixels = torch::zeros({3, 1, 2});
  pixels[0][0][1] = 100;

  const data::Image image = ImageOf(pixels, data::kImagenetScale);

  EXPECT_EQ(image.width, 2);
  EXPECT_EQ(image.pixels[0], 124);  // 0.485 * 255
  EXPECT_EQ(image.pixels[3], 255);
}

// A curriculum of masks must look in the pictures as it did in training.
TEST(SamplerForPicturesTest, StandsAtThePlaceOfTheRunsSchedulesWhereTheLastPassBegan) {
  data::DatasetOptions images;
  images.source = "synthetic:dermoscopy?count=40&size=32";
  images.split = data::Split::kAll;
  TrainingData training;
  training.dataset = *data::Dataset::Open(images);
  const int64_t num_images = training.dataset->size();
  data::ShardSampler::Options order;
  order.num_images = num_images;
  order.global_batch = num_images / 2;
  training.sampler = std::make_unique<data::ShardSampler>(order);
  ASSERT_EQ(training.sampler->steps_per_epoch(), 2);
  // Ended early, in the tenth of twenty passes.
  training.length = {.steps_per_epoch = 2, .schedule_steps = 40, .last_step = 19};

  const PictureSampler pictures = SamplerForPictures(training, /*seed=*/1);

  ASSERT_NE(pictures.sampler.steps_per_epoch(), 2);
  EXPECT_EQ(pictures.sampler.epoch(pictures.first_step), 9);
  EXPECT_EQ(pictures.first_step * 20, pictures.schedule_steps * 9);
}

}  // namespace
}  // namespace g2ll::job
