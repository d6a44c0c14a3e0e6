#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "worker/evaluate/pixel_scale_json.h"
#include "worker/job/export_config.h"
#include "worker/job/input_scale.h"
#include "worker/job/spec_options.h"

namespace g2ll::job {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<data::Dataset> Images() {
  data::DatasetOptions options;
  options.source = "synthetic:dermoscopy?count=9&seed=3&size=64";
  return *data::Dataset::Open(options);
}

InputScaleRequest Request(v1::DataSpec::Norm norm, std::string source_config = "") {
  return {.norm = norm, .image_size = 32, .threads = 2, .source_config = std::move(source_config)};
}

std::string ConfigWith(const data::PixelScale& scale) {
  data::InputOptions input;
  input.scale = scale;
  return ExportConfigJson(model::VitOptions{}, input);
}

TEST(InputScaleTest, ImagenetAndUnitAreTheNamedNumbers) {
  const auto images = Images();
  EXPECT_EQ(*InputScaleOf(Request(v1::DataSpec::IMAGENET), *images), data::kImagenetScale);
  EXPECT_EQ(*InputScaleOf(Request(v1::DataSpec::UNIT), *images), data::kUnitScale);
}

TEST(InputScaleTest, DatasetIsMeasuredAndTheSameForAnyNumberOfThreads) {
  const auto images = Images();
  InputScaleRequest request = Request(v1::DataSpec::DATASET);
  const data::PixelScale measured = *InputScaleOf(request, *images);
  EXPECT_EQ(data::NameOf(measured), "dataset");
  // Skin: red is the brightest channel, and no channel is black or white.
  EXPECT_GT(measured.mean[0], measured.mean[2]);
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_GT(measured.mean[c], 0.1);
    EXPECT_LT(measured.mean[c], 0.95);
    EXPECT_GT(measured.deviation[c], 0.01);
  }
  request.threads = 5;
  EXPECT_EQ(*InputScaleOf(request, *images), measured);
}

TEST(InputScaleTest, AJobThatStartsFromAModelTakesTheModelsStatistics) {
  const auto images = Images();
  const data::PixelScale source{{0.7, 0.5, 0.4}, {0.15, 0.125, 0.1}};
  EXPECT_EQ(*InputScaleOf(Request(v1::DataSpec::DATASET, ConfigWith(source)), *images), source);
  EXPECT_EQ(*InputScaleOf(Request(v1::DataSpec::DATASET, ConfigWith(data::kUnitScale)), *images),
            data::kUnitScale);
  // What was asked for by name stays.
  EXPECT_EQ(*InputScaleOf(Request(v1::DataSpec::UNIT, ConfigWith(source)), *images),
            data::kUnitScale);
}

TEST(InputScaleTest, AModelThatSaysNothingLeavesTheTrainingImages) {
  const auto images = Images();
  const data::PixelScale measured = *InputScaleOf(Request(v1::DataSpec::DATASET), *images);
  EXPECT_EQ(*InputScaleOf(Request(v1::DataSpec::DATASET, "not json"), *images), measured);
  EXPECT_EQ(*InputScaleOf(Request(v1::DataSpec::DATASET, "{}"), *images), measured);
}

// Every bit: a trained network must see the pixels that it was trained on.
TEST(PixelScaleTest, ComesBackFromAnExportedConfigAsItWas) {
  const auto images = Images();
  const data::PixelScale measured = *InputScaleOf(Request(v1::DataSpec::DATASET), *images);
  for (const data::PixelScale& scale : {data::kImagenetScale, data::kUnitScale, measured}) {
    const auto config = nlohmann::json::parse(ConfigWith(scale));
    EXPECT_EQ(*evaluate::ReadPixelScale(config), scale);
    EXPECT_EQ(config["norm"].get<std::string>(), data::NameOf(scale));
    EXPECT_EQ(config["pretrained_cfg"]["mean"], config["mean"]);
  }
}

TEST(PixelScaleTest, ReadsANameAloneAndRefusesWhatCannotScale) {
  const auto read = [](const char* text) {
    return evaluate::ReadPixelScale(nlohmann::json::parse(text));
  };
  EXPECT_EQ(*read(R"({"norm": "imagenet"})"), data::kImagenetScale);
  EXPECT_EQ(*read(R"({"norm": "unit"})"), data::kUnitScale);
  EXPECT_THAT(std::string(read(R"({"norm": "dataset"})").status().message()),
              HasSubstr("without mean and std"));
  EXPECT_FALSE(read("{}").ok());
  EXPECT_FALSE(read(R"({"mean": [0, 0, 0], "std": [1, 0, 1]})").ok());
  EXPECT_FALSE(read(R"({"mean": [0, 0, 0], "std": [1, 1]})").ok());
  EXPECT_FALSE(read(R"({"mean": ["a", 0, 0], "std": [1, 1, 1]})").ok());
}

TEST(AugmentOptionsTest, EveryKeyReachesItsOption) {
  v1::AugmentSpec spec;
  spec.set_horizontal_flip(0.01);
  spec.set_vertical_flip(0.02);
  spec.set_color_jitter(0.03);
  spec.set_grayscale(0.04);
  spec.set_blur(0.05);
  spec.set_blur_second(0.06);
  spec.set_crop_min_scale(0.07);
  spec.set_shift_scale_rotate(0.08);
  spec.set_noise(0.09);
  spec.set_brightness(0.10);
  spec.set_contrast(0.11);
  spec.set_saturation(0.12);
  spec.set_hue(0.13);
  spec.set_solarize(0.14);

  const data::ViewOptions views = ViewsOf(spec);
  EXPECT_EQ(views.horizontal_flip, 0.01);
  EXPECT_EQ(views.vertical_flip, 0.02);
  EXPECT_EQ(views.color_jitter, 0.03);
  EXPECT_EQ(views.grayscale, 0.04);
  EXPECT_EQ(views.blur, 0.05);
  EXPECT_EQ(views.blur_second, 0.06);
  EXPECT_EQ(views.crop_min_scale, 0.07);
  EXPECT_EQ(views.jitter.brightness, 0.10);
  EXPECT_EQ(views.jitter.contrast, 0.11);
  EXPECT_EQ(views.jitter.saturation, 0.12);
  EXPECT_EQ(views.jitter.hue, 0.13);
  EXPECT_EQ(views.solarize, 0.14);

  const data::SegmentationAugmentOptions pairs = SegmentationAugmentOf(spec);
  EXPECT_EQ(pairs.horizontal_flip, 0.01);
  EXPECT_EQ(pairs.vertical_flip, 0.02);
  EXPECT_EQ(pairs.color_jitter, 0.03);
  EXPECT_EQ(pairs.grayscale, 0.04);
  EXPECT_EQ(pairs.blur, 0.05);
  EXPECT_EQ(pairs.crop_min_scale, 0.07);
  EXPECT_EQ(pairs.shift_scale_rotate, 0.08);
  EXPECT_EQ(pairs.noise, 0.09);
  EXPECT_EQ(pairs.jitter.brightness, 0.10);
  EXPECT_EQ(pairs.jitter.hue, 0.13);
}

}  // namespace
}  // namespace g2ll::job
