#include "worker/tool/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/data/test_files.h"
#include "worker/report/csv.h"
#include "worker/report/report.h"

namespace g2ll::tool {
namespace {

using data::test::TemporaryFolder;
using data::test::WriteBytes;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// An evaluation of 20 images whose Dice is `dice` and a little more from image to image.
report::ReportInput MakeReport(double dice) {
  report::ReportInput input;
  input.title = "Lesion segmentation by eval";
  input.split = "test";
  input.image_size = 64;
  input.checkpoint_sha256 = absl::StrCat("digest", dice);
  for (int i = 0; i < 20; ++i) {
    report::ImageScore score;
    score.id = absl::StrCat("image, ", i);
    score.dice = dice + 0.01 * i;
    score.iou = score.dice_native = score.iou_native = score.dice - 0.1;
    score.width = 600;
    score.height = 450;
    score.lesion_pixels = 1000 + i;
    input.images.push_back(score);
  }
  return input;
}

class CompareTest : public testing::Test {
 protected:
  void Write(const std::string& name, const report::ReportInput& input) {
    std::filesystem::create_directory(folder_ / name);
    ASSERT_TRUE(report::WriteReport(input, folder_ / name).ok());
  }
  absl::Status Compare(const std::string& output = "table") {
    out_.str("");
    CompareOptions options;
    options.a = folder_ / "a";
    options.b = folder_ / "b";
    options.output = output;
    return CompareReports(options, out_);
  }
  void ExpectRefused(const std::string& why) {
    const absl::Status status = Compare();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(why), Not(HasSubstr("\n"))));
    EXPECT_EQ(out_.str(), "");
  }

  TemporaryFolder folder_;
  std::ostringstream out_;
};

TEST_F(CompareTest, DifferencesArePairedByImage) {
  Write("a", MakeReport(0.5));
  report::ReportInput better = MakeReport(0.53);
  std::reverse(better.images.begin(), better.images.end());
  // Same ids, other order: the truth of an image stays with its id.
  Write("b", better);

  ASSERT_TRUE(Compare("json").ok());

  const nlohmann::json json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["images"], 20);
  EXPECT_EQ(json["a"]["checkpointSha256"], "digest0.5");
  EXPECT_EQ(json["b"]["checkpointSha256"], "digest0.53");
  for (const char* score : {"dice", "iou", "diceNative", "iouNative"}) {
    EXPECT_NEAR(json["scores"][score]["difference"], 0.03, 1e-6) << score;
    // Every image gained the same, so the interval has no width.
    EXPECT_NEAR(json["scores"][score]["ciLow"], 0.03, 1e-6) << score;
    EXPECT_NEAR(json["scores"][score]["ciHigh"], 0.03, 1e-6) << score;
    EXPECT_LT(json["scores"][score]["pValue"], 0.001) << score;
  }
  EXPECT_NEAR(json["scores"]["dice"]["a"], 0.595, 1e-6);
  EXPECT_NEAR(json["scores"]["dice"]["b"], 0.625, 1e-6);
}

TEST_F(CompareTest, ATableNamesImagesProtocolAndCheckpoints) {
  Write("a", MakeReport(0.5));
  Write("b", MakeReport(0.5));

  ASSERT_TRUE(Compare().ok());

  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("20 images in both, test split, network size 64, tta none, "
                              "postprocess keep, threshold 0.5"),
                    HasSubstr("checkpoint digest0.5\n"),
                    HasSubstr("Dice\t0.5950\t0.5950\t+0.0000\t+0.0000 to +0.0000\t1.0000\n")));
}

TEST_F(CompareTest, OtherImagesAreRefused) {
  Write("a", MakeReport(0.5));
  report::ReportInput other = MakeReport(0.5);
  other.images.pop_back();
  other.images[0].id = "stranger";
  Write("b", other);

  ExpectRefused("18 are in both, 2 only in A (image, 0), 1 only in B (stranger)");
}

TEST_F(CompareTest, AnotherProtocolIsRefused) {
  Write("a", MakeReport(0.5));
  report::ReportInput other = MakeReport(0.5);
  other.protocol.tta = "flips";
  Write("b", other);

  ExpectRefused("another protocol: A has tta none");
}

TEST_F(CompareTest, AnotherSizeOfTheTruthIsRefused) {
  Write("a", MakeReport(0.5));
  report::ReportInput other = MakeReport(0.5);
  other.image_size = 128;
  Write("b", other);
  ExpectRefused("A is scored at 64 pixels, B at 128");

  std::filesystem::remove_all(folder_ / "b");
  other = MakeReport(0.5);
  other.images[3].width = 601;
  Write("b", other);
  ExpectRefused("image image, 3 has width 600 in A and 601 in B");
}

TEST_F(CompareTest, AnotherLesionOfOneIdIsRefused) {
  Write("a", MakeReport(0.5));
  report::ReportInput other = MakeReport(0.5);
  other.images[7].lesion_pixels = 9;
  Write("b", other);

  ExpectRefused("image image, 7 has lesionPixels 1007 in A and 9 in B");
}

TEST_F(CompareTest, WhatIsNoReportOfAnEvaluationIsRefused) {
  Write("a", MakeReport(0.5));
  ExpectRefused("b/report.json: cannot be read");

  WriteBytes(folder_ / "b/report.json", R"({"title": "pre-training"})");
  ExpectRefused("b/report.json: is no report of an evaluation");

  std::filesystem::remove_all(folder_ / "b");
  Write("b", MakeReport(0.5));
  WriteBytes(folder_ / "b/per_image.csv", "image,dice,iou,diceNative,iouNative\nx,1,1,1,1\n");
  ExpectRefused("b/per_image.csv: has no column width");
}

TEST(CsvTest, WhatIsWrittenIsReadAgain) {
  const std::vector<std::string> fields = {"plain", "a,b", "say \"x\"", "two\nlines", ""};
  std::string text;
  for (const std::string& field : fields) {
    absl::StrAppend(&text, text.empty() ? "" : ",", report::CsvField(field));
  }

  const auto rows = report::ParseCsv(text + "\r\n1,2");

  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0], fields);
  EXPECT_THAT((*rows)[1], ElementsAre("1", "2"));
  EXPECT_FALSE(report::ParseCsv("a,\"b").ok());
}

}  // namespace
}  // namespace g2ll::tool
