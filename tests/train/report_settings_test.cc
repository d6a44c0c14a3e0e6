#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>
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

}  // namespace
}  // namespace g2ll::job
