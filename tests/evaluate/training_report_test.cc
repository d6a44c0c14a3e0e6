#include "worker/report/training_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "worker/report/patch_picture.h"

namespace g2ll::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

data::Image Flat(int side, uint8_t value) {
  return {side, side, std::vector<uint8_t>(static_cast<size_t>(side * side * 3), value)};
}

std::vector<uint8_t> PixelAt(const data::Image& image, int y, int x) {
  const auto first = image.pixels.begin() + (y * image.width + x) * 3;
  return {first, first + 3};
}

TEST(PatchPictureTest, EnlargesByWholeFactorsOnly) {
  data::Image image = Flat(2, 10);
  image.pixels[3] = 200;  // the second pixel's red

  const data::Image large = Enlarge(image, 5);

  EXPECT_EQ(large.width, 6);
  EXPECT_EQ(PixelAt(large, 0, 2)[0], 10);
  EXPECT_EQ(PixelAt(large, 2, 3)[0], 200);
  EXPECT_EQ(PixelAt(large, 3, 3)[0], 10);
}

TEST(PatchPictureTest, GreysHiddenPatchesAndPartsRegions) {
  PatchPlan plan{2, 2, {false, true, false, false}, {0, 0, 1, 1}};

  const data::Image image = DrawPatches(Flat(32, 10), plan);

  EXPECT_EQ(PixelAt(image, 4, 24), (std::vector<uint8_t>{128, 128, 128}));
  EXPECT_EQ(PixelAt(image, 4, 4), (std::vector<uint8_t>{10, 10, 10}));
  EXPECT_EQ(PixelAt(image, 16, 8), (std::vector<uint8_t>{255, 230, 0}));
  // No line between patches of one region.
  EXPECT_EQ(PixelAt(image, 24, 16), (std::vector<uint8_t>{10, 10, 10}));
}

class TrainingReportTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "training-report-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    report_.title = "Pre-training by <job>";
    report_.method = "g2ll";
    report_.data_source = "/data/<script>";
    report_.split = "train";
    report_.images = 24;
    report_.excluded_ids = {"ISIC_1", "<b>"};
    report_.num_prototypes = 1024;
    report_.run = {"job", "PretrainJob", 12.5, 80, 1000, {}};
    report_.run.series["loss"] = {{1, 2.0}, {2, 1.5}};
    report_.run.series["loss/mim"] = {{1, 1.0}, {2, std::numeric_limits<double>::quiet_NaN()}};
    report_.run.series["teacher_entropy"] = {{1, 3.0}, {2, 2.5}};
    report_.run.series["new<metric>"] = {{1, 7.0}};
    report_.settings = {{"mask.gamma", "0.5", "set by the job; the default is 0.25", false},
                        {"mask.beta", "0.7", "P 2.2", true}};
    const PatchPlan plan{2, 2, {false, true, false, false}, {0, 0, 1, 1}};
    report_.pictures = {{"<id>", "", {{Flat(32, 9), plan, Flat(32, 8)}}}};
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name) {
    EXPECT_TRUE(WriteTrainingReport(report_, directory_).ok());
    std::ifstream file(directory_ / name, std::ios::binary);
    EXPECT_TRUE(file) << name;
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TrainingReport report_;
  std::filesystem::path directory_;
};

TEST_F(TrainingReportTest, PageHasPicturesCurvesAndSettingsAndEscapesWhatComesFromOutside) {
  const std::string page = Write("report.html");

  for (const char* part :
       {"Reconstruction loss", "near 0 or near ln 1024 = 6.931", "new&lt;metric&gt;",
        "&lt;id&gt;, view, hidden patches filled by the decoder", "mask.gamma", "&lt;b&gt;"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("<id>")));
  EXPECT_THAT(page, Not(HasSubstr("mim.normPix")));
}

TEST_F(TrainingReportTest, PageSaysHowNormalisedPatchesGotTheirColours) {
  report_.is_target_normalized = true;

  EXPECT_THAT(Write("report.html"), HasSubstr("mean and variance of the hidden patch back"));
}

TEST_F(TrainingReportTest, PageNamesACollapsedTeacherAndNoHealthyOne) {
  EXPECT_THAT(Write("report.html"), Not(HasSubstr("has collapsed:")));
  report_.run.series["teacher_entropy"] = {{1, 3.0}, {2, 6.93}};
  EXPECT_THAT(Write("report.html"), HasSubstr("has collapsed: at the end it gives all"));
  report_.run.series["teacher_entropy"] = {{1, 3.0}, {2, 0.01}};
  EXPECT_THAT(Write("report.html"), HasSubstr("has collapsed: at the end it gives one"));
}

TEST_F(TrainingReportTest, AMethodWithoutDecoderAndMasksShowsItsViewsOnly) {
  report_.pictures[0].views[0].patches = {2, 2, {}, {}};
  report_.pictures[0].views[0].reconstruction.reset();

  const std::string page = Write("report.html");

  EXPECT_THAT(page, HasSubstr("alt=\"&lt;id&gt;, view\""));
  EXPECT_THAT(page, Not(HasSubstr("filled by the decoder")));
  EXPECT_THAT(page, Not(HasSubstr("Grey patches")));
}

TEST_F(TrainingReportTest, JsonHasFinalValuesSettingsAndExcludedImages) {
  const auto json = nlohmann::json::parse(Write("report.json"));

  EXPECT_EQ(json["method"], "g2ll");
  EXPECT_EQ(json["step"], 2);
  EXPECT_EQ(json["final"]["loss"], 1.5);
  EXPECT_EQ(json["final"]["loss/mim"], "NaN");
  EXPECT_EQ(json["excludedImages"], 2);
  EXPECT_EQ(json["settings"][0]["isDefault"], false);
  EXPECT_EQ(json["phases"][0]["name"], "pretrain");
}

}  // namespace
}  // namespace g2ll::report
