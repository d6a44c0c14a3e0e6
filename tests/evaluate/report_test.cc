#include "worker/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "worker/report/chart.h"
#include "worker/report/html.h"
#include "worker/report/overlay_picture.h"

namespace g2ll::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kHostileId[] = "a<b>&\"c\", 'd'";

class ReportTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "report-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Read(const std::string& name) const {
    std::ifstream file(directory_ / name, std::ios::binary);
    EXPECT_TRUE(file) << name;
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path directory_;
};

// A grey picture whose left half is lesion.
Overlay MakeOverlay(const std::string& id, OverlayGroup group) {
  Overlay overlay;
  overlay.group = group;
  overlay.score = {id, 0.75, 0.6, 0.7, 0.55};
  overlay.image = {48, 64, std::vector<uint8_t>(48 * 64 * 3, 128)};
  overlay.truth = {48, 64, std::vector<uint8_t>(48 * 64)};
  overlay.prediction = overlay.truth;
  for (size_t i = 0; i < overlay.truth.pixels.size(); ++i) {
    overlay.truth.pixels[i] = i % 64 < 32 ? 255 : 0;
    overlay.prediction.pixels[i] = i / 64 < 24 ? 255 : 0;
  }
  return overlay;
}

ReportInput MakeInput() {
  ReportInput input;
  input.title = "Lesion segmentation by <job>";
  input.data_source = "/data/<script>";
  input.split = "test";
  input.image_size = 64;
  input.images = {{"plain", 0.9, 0.8, 0.85, 0.75, 0.8, 0.75, 2.5, 64, 48, 1536},
                  {kHostileId, 0.75, 0.6, 0.7, 0.55, 0, 0, std::nan(""), 64, 48, 0}};
  input.dice = {0.825, 0.75, 0.9};
  input.iou = {0.7, 0.6, 0.8};
  input.dice_native = {0.775, 0.7, 0.85};
  input.iou_native = {0.65, 0.55, 0.75};
  input.constant_mask = {0.5, 0.4, "every pixel lesion"};
  input.centered_ellipse = {0.6, 0.45, "ellipse 0.6 x 0.5"};
  RunHistory pretrain{"skin", "PretrainJob", 62.5, 114.0, 8000, {}};
  RunHistory finetune{"skin-ft", "FinetuneJob", 80.0, 98.0, 8000, {}};
  for (int step = 1; step <= 100; ++step) {
    pretrain.series["loss"].emplace_back(step, 8.0 / step);
    finetune.series["val/dice"].emplace_back(step, step / 100.0);
  }
  finetune.series["loss"] = {{1, 0.7}, {2, std::numeric_limits<double>::quiet_NaN()}, {3, 0.5}};
  input.runs = {pretrain, finetune, {"skin-eval", "EvaluateJob", 4.0, 25.0, 100, {}}};
  input.pretrain_disjoint_from_test = true;
  input.checkpoint_sha256 = "0123abcd";
  input.overlays = {MakeOverlay("plain", OverlayGroup::kBest),
                    MakeOverlay(kHostileId, OverlayGroup::kWorst)};
  return input;
}

TEST_F(ReportTest, JsonHoldsTheFieldsThatScriptsRelyOn) {
  ASSERT_TRUE(WriteReport(MakeInput(), directory_.string()).ok());

  const nlohmann::json json = nlohmann::json::parse(Read("report.json"));
  EXPECT_EQ(json["dice"]["mean"], 0.825);
  EXPECT_EQ(json["dice"]["ciLow"], 0.75);
  EXPECT_EQ(json["dice"]["ciHigh"], 0.9);
  EXPECT_EQ(json["iou"]["mean"], 0.7);
  EXPECT_EQ(json["diceNative"], 0.775);
  EXPECT_EQ(json["iouNative"], 0.65);
  EXPECT_EQ(json["images"], 2);
  EXPECT_EQ(json["baselines"]["constantMask"]["dice"], 0.5);
  EXPECT_EQ(json["baselines"]["centeredEllipse"]["iou"], 0.45);
  EXPECT_EQ(json["perImage"], "per_image.csv");
  ASSERT_EQ(json["phases"].size(), 3u);
  EXPECT_EQ(json["phases"][0]["name"], "pretrain");
  EXPECT_EQ(json["phases"][0]["seconds"], 62.5);
  EXPECT_EQ(json["phases"][2]["imagesPerSecond"], 25.0);
  EXPECT_EQ(json["pretrainDisjointFromTest"], true);
  EXPECT_EQ(json["checkpointSha256"], "0123abcd");
}

TEST_F(ReportTest, JsonSaysNullWithoutPretrainingAndSpellsOutNonFiniteNumbers) {
  ReportInput input = MakeInput();
  input.pretrain_disjoint_from_test.reset();
  input.runs[0].images_per_second = std::numeric_limits<double>::infinity();

  ASSERT_TRUE(WriteReport(input, directory_.string()).ok());

  const nlohmann::json json = nlohmann::json::parse(Read("report.json"));
  EXPECT_TRUE(json["pretrainDisjointFromTest"].is_null());
  EXPECT_EQ(json["phases"][0]["imagesPerSecond"], "Infinity");
}

TEST_F(ReportTest, CsvQuotesWhatCommasAndQuotesWouldBreak) {
  ASSERT_TRUE(WriteReport(MakeInput(), directory_.string()).ok());

  EXPECT_EQ(
      Read("per_image.csv"),
      "image,dice,iou,diceNative,iouNative,thresholdJaccard,thresholdJaccardNative,"
      "hd95Native,width,height,lesionPixels\n"
      "plain,0.900000,0.800000,0.850000,0.750000,0.800000,0.750000,2.500000,64,48,1536\n"
      "\"a<b>&\"\"c\"\", 'd'\",0.750000,0.600000,0.700000,0.550000,0.000000,0.000000,NaN,64,48,"
      "0\n");
}

TEST_F(ReportTest, PageEscapesWhateverComesFromOutside) {
  ASSERT_TRUE(WriteReport(MakeInput(), directory_.string()).ok());

  const std::string page = Read("report.html");
  EXPECT_THAT(page, HasSubstr("a&lt;b&gt;&amp;&quot;c&quot;, &#39;d&#39;"));
  EXPECT_THAT(page, HasSubstr("Lesion segmentation by &lt;job&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("a<b>")));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
}

TEST_F(ReportTest, PageNeedsNothingFromOutside) {
  ASSERT_TRUE(WriteReport(MakeInput(), directory_.string()).ok());

  const std::string page = Read("report.html");
  for (const char* reference : {"http:", "https:", "//", "href=", "@import", "url(", "<link"}) {
    EXPECT_THAT(page, Not(HasSubstr(std::string("\"") + reference))) << reference;
  }
  EXPECT_THAT(page, Not(HasSubstr("http")));
  EXPECT_THAT(page, Not(HasSubstr("@import")));
  EXPECT_THAT(page, HasSubstr("src=\"data:image/png;base64,"));
}

TEST_F(ReportTest, PageShowsNumbersBaselinesAndCurves) {
  ASSERT_TRUE(WriteReport(MakeInput(), directory_.string()).ok());

  const std::string page = Read("report.html");
  EXPECT_THAT(page, HasSubstr("0.825"));
  EXPECT_THAT(page, HasSubstr("95 % interval 0.750 to 0.900"));
  EXPECT_THAT(page, HasSubstr("every pixel lesion"));
  EXPECT_THAT(page, HasSubstr("Pre-training loss, skin"));
  EXPECT_THAT(page, HasSubstr("Validation, skin-ft"));
  EXPECT_THAT(page, HasSubstr("1 min 03 s"));
}

TEST_F(ReportTest, OverlaysArePngFilesWithPlainNames) {
  ReportInput input = MakeInput();
  input.overlays.push_back(MakeOverlay("a<b>&\"c\", \"d\"", OverlayGroup::kMiddle));

  ASSERT_TRUE(WriteReport(input, directory_.string()).ok());

  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory_ / "overlays")) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("plain_overlay.png", "a_b___c____d__overlay.png",
                                                   "a_b___c____d__2_overlay.png"));
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  ASSERT_NE(png_image_begin_read_from_file(&header,
                                           (directory_ / "overlays" / "plain_overlay.png").c_str()),
            0);
  EXPECT_EQ(header.width, 256u);  // small pictures are enlarged
  EXPECT_EQ(header.height, 192u);
  png_image_free(&header);
}

TEST_F(ReportTest, PicturesAreReducedToTheSizeThatIsShown) {
  Overlay overlay = MakeOverlay("small", OverlayGroup::kBest);
  ReduceToReport(overlay);
  EXPECT_EQ(overlay.image.width, 64);

  overlay.image = {1500, 3000, std::vector<uint8_t>(size_t{1500} * 3000 * 3, 128)};
  overlay.truth = {1500, 3000, std::vector<uint8_t>(size_t{1500} * 3000, 255)};
  overlay.prediction = {1500, 3000, std::vector<uint8_t>(size_t{1500} * 3000, 0)};
  ReduceToReport(overlay);
  EXPECT_EQ(overlay.image.width, 1024);
  EXPECT_EQ(overlay.image.height, 512);
  EXPECT_EQ(overlay.image.pixels.size(), size_t{512} * 1024 * 3);
  EXPECT_EQ(overlay.truth.pixels, std::vector<uint8_t>(size_t{512} * 1024, 255));
  EXPECT_EQ(overlay.prediction.pixels, std::vector<uint8_t>(size_t{512} * 1024, 0));
}

TEST_F(ReportTest, AFileThatCannotBeWrittenIsNamed) {
  std::filesystem::create_directory(directory_ / "report.html");

  const absl::Status status = WriteReport(MakeInput(), directory_.string());

  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("report.html"));
}

TEST(OverlayPictureTest, OutlinesHaveTheirColorsAndTheRestStays) {
  const Overlay overlay = MakeOverlay("x", OverlayGroup::kBest);

  const data::Image picture =
      DrawOverlay(overlay.image, overlay.truth, overlay.prediction, 256, 256);

  const auto pixel = [&picture](int x, int y) {
    const size_t at = 3 * (static_cast<size_t>(y) * 256 + static_cast<size_t>(x));
    return std::vector<int>(picture.pixels.begin() + static_cast<ptrdiff_t>(at),
                            picture.pixels.begin() + static_cast<ptrdiff_t>(at) + 3);
  };
  EXPECT_THAT(pixel(127, 160), ElementsAre(0x56, 0xb4, 0xe9));  // edge of the truth
  EXPECT_THAT(pixel(200, 95), ElementsAre(0xf0, 0xe4, 0x42));   // edge of the prediction
  EXPECT_THAT(pixel(200, 160), ElementsAre(128, 128, 128));
}

TEST(ChartTest, TicksAreRoundNumbersInsideTheRange) {
  EXPECT_THAT(AxisTicks(0, 1, 5),
              testing::Pointwise(testing::DoubleNear(1e-12), {0.0, 0.2, 0.4, 0.6, 0.8, 1.0}));
  EXPECT_THAT(AxisTicks(-3, 112, 5),
              testing::Pointwise(testing::DoubleNear(1e-9), {0.0, 50.0, 100.0}));
}

TEST(ChartTest, ACurveOfOnePointAndOneWithoutAnyAreDrawn) {
  const std::string one = DrawLineChart({"t", "x", {{"loss", {{5, 0.5}}}}, std::nullopt});
  const std::string none = DrawLineChart({"t", "x", {{"loss", {}}}, std::nullopt});

  EXPECT_THAT(one, Not(HasSubstr("nan")));
  EXPECT_THAT(none, Not(HasSubstr("nan")));
  EXPECT_THAT(none, Not(HasSubstr("inf")));
}

TEST(HtmlTest, Base64FollowsItsStandard) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foo"), "Zm9v");
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
}

TEST(HtmlTest, DurationsReadLikeSpeech) {
  EXPECT_EQ(FormatDuration(8.24), "8.2 s");
  EXPECT_EQ(FormatDuration(185), "3 min 05 s");
  EXPECT_EQ(FormatDuration(2 * 3600 + 14 * 60), "2 h 14 min");
}

TEST(HtmlTest, ControlCharactersDoNotReachThePage) {
  EXPECT_EQ(EscapeHtml(std::string("a\0b\x1b", 4)), "a\uFFFDb\uFFFD");
}

}  // namespace
}  // namespace g2ll::report
