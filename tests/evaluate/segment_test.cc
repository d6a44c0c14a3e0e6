#include "worker/tool/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/data/test_files.h"
#include "tests/data/tool_outcome.h"
#include "tests/evaluate/tiny_segmenter.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/data/image_codec.h"
#include "worker/evaluate/evaluation.h"
#include "worker/evaluate/segmenter.h"
#include "worker/report/csv.h"
#include "worker/run/run_events.h"

namespace g2ll::tool {
namespace {

namespace fs = std::filesystem;
using data::test::PlainMask;
using data::test::ReadBytes;
using data::test::TemporaryFolder;
using data::test::WriteBytes;
using data::test::WriteJpeg;
using data::test::WriteMaskPng;
using evaluate::Postprocess;
using evaluate::Tta;
using evaluate::test::MakeTinyNetwork;
using test::Outcome;
using test::Tool;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Columns of `segment.csv` or `per_image.csv` by image.
std::map<std::string, std::map<std::string, std::string>> Table(const std::string& path) {
  const auto rows = report::ParseCsv(ReadBytes(path));
  EXPECT_TRUE(rows.ok()) << path << rows.status();
  std::map<std::string, std::map<std::string, std::string>> table;
  for (size_t r = 1; rows.ok() && r < rows->size(); ++r) {
    for (size_t i = 0; i < rows->front().size(); ++i) {
      table[(*rows)[r][0]][rows->front()[i]] = (*rows)[r][i];
    }
  }
  return table;
}

// A picture whose left side is dark.
data::Image TwoTone(int height, int width) {
  data::Image image = data::test::PlainImage(height, width, 220, 180, 160);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width / 2; ++x) {
      image.pixels[static_cast<size_t>((y * width + x) * 3)] = 60;
    }
  }
  return image;
}

class SegmentTest : public testing::Test {
 protected:
  void SetUp() override {
    evaluate::test::WriteExportedModel(MakeTinyNetwork(5), folder_ / "model");
  }

  Outcome Segment(std::vector<std::string> more) {
    std::vector<std::string> words = {
        "segment", "--checkpoint", folder_ / "model", "--to", folder_ / "out", "--threads", "2"};
    words.insert(words.end(), more.begin(), more.end());
    return Tool(words);
  }
  std::string Csv() { return ReadBytes(folder_ / "out/segment.csv"); }
  data::LesionMask Mask(const std::string& name) {
    const auto mask = data::ReadMask(folder_ / ("out/" + name + "_segmentation.png"));
    EXPECT_TRUE(mask.ok()) << mask.status();
    return mask.value_or(data::LesionMask{});
  }

  TemporaryFolder folder_;
};

// Takes events and forgets them.
class NoEvents final : public run::RunEvents {
 public:
  void OnJoined() override {}
  void OnMetric(const run::MetricSample&) override {}
  void OnProgress(const run::Progress&) override {}
  absl::Status OnCheckpoint(const run::WrittenCheckpoint&) override { return absl::OkStatus(); }
  void OnReport(const std::string&) override {}
};

struct ProtocolCase {
  evaluate::Protocol protocol;
  std::vector<std::string> flags;
};

class SegmentProtocolTest : public SegmentTest, public testing::WithParamInterface<ProtocolCase> {};

// The masks are those of an EvaluateJob: every image has the same scores at its own size.
TEST_P(SegmentProtocolTest, ScoresAreThoseOfAnEvaluation) {
  ASSERT_EQ(
      Tool({"data", "generate", "--to", folder_ / "set", "--count", "4", "--size", "96"}).exit_code,
      0);
  evaluate::EvaluationOptions options;
  options.job = "eval";
  options.data.source = folder_ / "set";
  options.data.split = data::Split::kTest;
  options.checkpoint = folder_ / "model";
  options.storage_root = folder_.path();
  options.report_path = "report";
  options.protocol = GetParam().protocol;
  NoEvents events;
  torch::set_num_threads(1);  // threads only wait for each other on so small a network
  ASSERT_TRUE(evaluate::RunEvaluation(options, events, {}).ok());

  std::vector<std::string> words = {folder_ / "set/ISIC-2017_Test_v2_Data", "--masks",
                                    folder_ / "set/ISIC-2017_Test_v2_Part1_GroundTruth"};
  words.insert(words.end(), GetParam().flags.begin(), GetParam().flags.end());
  const Outcome outcome = Segment(words);

  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  auto evaluated = Table(folder_ / "report/per_image.csv");
  auto segmented = Table(folder_ / "out/segment.csv");
  ASSERT_EQ(segmented.size(), 8u);
  ASSERT_EQ(evaluated.size(), 8u);
  for (auto& [image, row] : segmented) {
    EXPECT_EQ(row["dice"], evaluated[image]["diceNative"]) << image;
    EXPECT_EQ(row["iou"], evaluated[image]["iouNative"]) << image;
    EXPECT_EQ(row["width"], evaluated[image]["width"]) << image;
  }
}

INSTANTIATE_TEST_SUITE_P(Protocols, SegmentProtocolTest,
                         testing::Values(ProtocolCase{{}, {}},
                                         ProtocolCase{{Tta::kFlips, Postprocess::kLargestComponent},
                                                      {"--tta", "--keep-largest"}}));

TEST_F(SegmentTest, PicturesOfAnySizeGetAMaskAnOverlayAndARow) {
  WriteJpeg(folder_ / "in/wide.jpg", TwoTone(40, 131));
  const auto png = data::EncodePng(TwoTone(97, 33));
  ASSERT_TRUE(png.ok());
  WriteBytes(folder_ / "in/sub/tall.PNG", *png);

  const Outcome outcome = Segment({folder_ / "in"});

  EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(Csv().substr(0, Csv().find('\n')), "image,width,height,area,confidence");
  auto rows = Table(folder_ / "out/segment.csv");
  for (const auto& [name, width, height] : {std::tuple("wide", 131, 40), {"tall", 33, 97}}) {
    const data::LesionMask mask = Mask(name);
    EXPECT_EQ(mask.width, width);
    EXPECT_EQ(mask.height, height);
    double lesion = 0;
    for (const uint8_t value : mask.pixels) {
      EXPECT_TRUE(value == 0 || value == 255);
      lesion += value == 255;
    }
    EXPECT_EQ(rows[name]["width"], std::to_string(width));
    EXPECT_EQ(rows[name]["height"], std::to_string(height));
    EXPECT_NEAR(std::stod(rows[name]["area"]), lesion / (width * height), 1e-6);
    EXPECT_GT(std::stod(rows[name]["confidence"]), 0);
    EXPECT_LE(std::stod(rows[name]["confidence"]), 1);
    const auto overlay = data::ReadImage(folder_ / ("out/" + std::string(name) + "_overlay.png"));
    ASSERT_TRUE(overlay.ok()) << overlay.status();
    EXPECT_EQ(std::max(overlay->width, overlay->height), 256);  // small pictures are enlarged
  }
  EXPECT_THAT(outcome.out, HasSubstr("2 of 2 pictures segmented"));
}

TEST_F(SegmentTest, ABadPictureIsNamedAndSkippedAndTheExitCodeSaysSo) {
  WriteJpeg(folder_ / "in/good.jpg", TwoTone(40, 60));
  WriteBytes(folder_ / "in/broken.jpg", ReadBytes(folder_ / "in/good.jpg").substr(0, 200));
  WriteBytes(folder_ / "in/scan.bmp", "BM");
  WriteBytes(folder_ / "in/notes.txt", "no picture");

  const Outcome outcome = Segment({folder_ / "in", folder_ / "missing.jpg"});

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.error,
              AllOf(HasSubstr("broken.jpg"), HasSubstr("scan.bmp: is neither a JPEG nor a PNG"),
                    HasSubstr("missing.jpg: no such file"), Not(HasSubstr("notes.txt"))));
  EXPECT_EQ(Table(folder_ / "out/segment.csv").size(), 1u);
  EXPECT_FALSE(fs::exists(folder_ / "out/broken_segmentation.png"));
  EXPECT_THAT(outcome.out, HasSubstr("1 of 4 pictures segmented"));
}

TEST_F(SegmentTest, NothingThatCouldBeSegmentedIsTwo) {
  WriteBytes(folder_ / "in/broken.png", "none");
  EXPECT_EQ(Segment({folder_ / "in"}).exit_code, 2);
  fs::create_directories(folder_ / "empty");
  const Outcome empty = Segment({folder_ / "empty"});
  EXPECT_EQ(empty.exit_code, 2);
  EXPECT_THAT(empty.error, HasSubstr("empty: holds no picture"));
  EXPECT_EQ(Segment({folder_ / "in", "--batch", "0"}).exit_code, 2);
  EXPECT_EQ(Tool({"segment", folder_ / "in"}).exit_code, 2);
}

TEST_F(SegmentTest, TruthIsFoundByStemAndAMissingOneLeavesTheFieldsEmpty) {
  for (const char* name : {"a", "b", "c"}) {
    WriteJpeg(folder_ / ("in/" + std::string(name) + ".jpg"), TwoTone(40, 60));
  }
  WriteMaskPng(folder_ / "masks/a.png", PlainMask(40, 60, 255));
  WriteMaskPng(folder_ / "masks/b_segmentation.png", PlainMask(40, 60, 255));

  const Outcome outcome = Segment({folder_ / "in", "--masks", folder_ / "masks"});

  EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(Csv().substr(0, Csv().find('\n')), "image,width,height,area,confidence,dice,iou");
  auto rows = Table(folder_ / "out/segment.csv");
  // Against a truth that is all lesion IoU is the area.
  EXPECT_EQ(rows["a"]["iou"], rows["a"]["area"]);
  EXPECT_EQ(rows["b"]["iou"], rows["b"]["area"]);
  EXPECT_EQ(rows["c"]["dice"], "");
  EXPECT_THAT(outcome.error, HasSubstr("warning: c: has no mask"));
  EXPECT_THAT(outcome.out, HasSubstr("over 2 with a mask"));
}

TEST_F(SegmentTest, ATruthOfAnotherSizeIsNamedAndTheExitCodeSaysSo) {
  WriteJpeg(folder_ / "in/a.jpg", TwoTone(40, 60));
  WriteMaskPng(folder_ / "masks/a.png", PlainMask(20, 30, 255));

  const Outcome outcome = Segment({folder_ / "in", "--masks", folder_ / "masks"});

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.error, HasSubstr("a.png: is 30x20, its picture is 60x40"));
  EXPECT_EQ(Table(folder_ / "out/segment.csv")["a"]["iou"], "");
}

TEST_F(SegmentTest, EqualStemsKeepTheirOwnFiles) {
  WriteJpeg(folder_ / "in/left/x.jpg", TwoTone(40, 60));
  WriteJpeg(folder_ / "in/right/x.jpg", TwoTone(30, 70));
  WriteJpeg(folder_ / "in/right/x.jpeg", TwoTone(20, 80));
  WriteJpeg(folder_ / "in/y.jpg", TwoTone(20, 20));

  // A file that is named twice is one picture.
  const Outcome outcome = Segment({folder_ / "in", folder_ / "in/y.jpg"});

  EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(Mask("left_x").width, 60);
  EXPECT_EQ(Mask("right_x").width, 80);
  EXPECT_EQ(Mask("right_x_2").width, 70);
  EXPECT_EQ(Mask("y").width, 20);
  EXPECT_EQ(Table(folder_ / "out/segment.csv").size(), 4u);
}

TEST_F(SegmentTest, WillNotWriteIntoAFolderWithSomethingInItUnlessForced) {
  WriteJpeg(folder_ / "in/a.jpg", TwoTone(40, 60));
  WriteBytes(folder_ / "out/thesis.txt", "years of work");

  const Outcome refused = Segment({folder_ / "in"});
  EXPECT_EQ(refused.exit_code, 6);
  EXPECT_THAT(refused.error, HasSubstr("is not an empty folder"));
  EXPECT_FALSE(fs::exists(folder_ / "out/segment.csv"));

  EXPECT_EQ(Segment({folder_ / "in", "--force"}).exit_code, 0);
  EXPECT_EQ(ReadBytes(folder_ / "out/thesis.txt"), "years of work");
  EXPECT_EQ(Mask("a").width, 60);
}

// What a run wrote among its own input is no input of the next one.
TEST_F(SegmentTest, MasksAndOverlaysInAFolderAreNotSegmented) {
  WriteJpeg(folder_ / "out/a.jpg", TwoTone(40, 60));
  WriteMaskPng(folder_ / "out/b_segmentation.png", PlainMask(40, 60, 255));

  EXPECT_EQ(Segment({folder_ / "out/a.jpg", "--force"}).exit_code, 0);
  EXPECT_EQ(Segment({folder_ / "out", "--force"}).exit_code, 0);

  EXPECT_EQ(Table(folder_ / "out/segment.csv").size(), 1u);
}

TEST_F(SegmentTest, TheFileOfAnExportedModelServesLikeItsFolder) {
  WriteJpeg(folder_ / "a.jpg", TwoTone(40, 60));
  ASSERT_EQ(Segment({folder_ / "a.jpg"}).exit_code, 0);
  const std::string first = Csv();

  const Outcome outcome = Tool({"segment", "--checkpoint", folder_ / "model/model.safetensors",
                                "--to", folder_ / "again", folder_ / "a.jpg"});

  EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(ReadBytes(folder_ / "again/segment.csv"), first);
}

TEST_F(SegmentTest, WhatIsNoSegmentationModelIsRefusedInOneLine) {
  WriteJpeg(folder_ / "a.jpg", TwoTone(40, 60));
  for (const std::string& model : {folder_ / "nowhere", folder_ / "a.jpg", folder_.path()}) {
    const Outcome outcome =
        Tool({"segment", "--checkpoint", model, "--to", folder_ / "out", folder_ / "a.jpg"});

    EXPECT_EQ(outcome.exit_code, 2) << model;
    EXPECT_THAT(outcome.error, HasSubstr(model));
    EXPECT_EQ(std::count(outcome.error.begin(), outcome.error.end(), '\n'), 1) << outcome.error;
    EXPECT_FALSE(fs::exists(folder_ / "out"));
  }
}

TEST_F(SegmentTest, AConfigurationNoNetworkCanHaveIsRefusedInOneLine) {
  WriteJpeg(folder_ / "a.jpg", TwoTone(40, 60));
  const std::string path = folder_ / "model/config.json";
  const auto config = nlohmann::json::parse(ReadBytes(path));
  const std::vector<std::pair<const char*, nlohmann::json>> bad = {
      {"patch", 0},
      {"imageSize", 1'000'000},
      {"imageSize", 36},
      {"depth", 100'000'000},
      {"dim", -8},
      {"heads", 7},
      {"heads", 0},
      {"segmentationChannels", {16}},
      {"segmentationChannels", {16, 8, -1, 4}}};
  for (const auto& [key, value] : bad) {
    nlohmann::json changed = config;
    changed[key] = value;
    WriteBytes(path, changed.dump());

    const Outcome outcome = Segment({folder_ / "a.jpg"});

    EXPECT_EQ(outcome.exit_code, 2) << key;
    EXPECT_THAT(outcome.error, AllOf(HasSubstr(path + ": "), HasSubstr(key)));
    EXPECT_EQ(std::count(outcome.error.begin(), outcome.error.end(), '\n'), 1) << outcome.error;
  }
}

TEST_F(SegmentTest, ANameWithoutRoomForAnEndingIsNamedAndSkipped) {
  const std::string name(240, 'n');
  WriteJpeg(folder_ / (name + ".jpg"), TwoTone(40, 60));
  WriteJpeg(folder_ / "a.jpg", TwoTone(40, 60));

  const Outcome outcome = Segment({folder_ / (name + ".jpg"), folder_ / "a.jpg"});

  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.error, HasSubstr("its name has 240 bytes"));
  EXPECT_TRUE(fs::exists(folder_ / "out/a_segmentation.png"));
}

TEST_F(SegmentTest, WillNotReplaceTheTrueMasks) {
  WriteJpeg(folder_ / "a.jpg", TwoTone(40, 60));
  WriteMaskPng(folder_ / "out/a_segmentation.png", PlainMask(40, 60, 255));
  const std::string truth = ReadBytes(folder_ / "out/a_segmentation.png");

  const Outcome outcome = Segment({folder_ / "a.jpg", "--masks", folder_ / "out", "--force"});

  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("holds the true masks"));
  EXPECT_EQ(ReadBytes(folder_ / "out/a_segmentation.png"), truth);
}

TEST_F(SegmentTest, APredictionThatIsNotANumberNamesThePicture) {
  model::SegmentationNetwork network = MakeTinyNetwork(5);
  {
    const torch::NoGradGuard no_grad;
    network->segmentation_state()[0].second.fill_(std::nanf(""));
  }
  evaluate::test::WriteExportedModel(network, folder_ / "model");
  WriteJpeg(folder_ / "in/a.jpg", TwoTone(40, 60));

  const Outcome outcome = Segment({folder_ / "in"});

  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("a.jpg: the network's prediction is not a finite number"));
}

TEST_F(SegmentTest, JsonHoldsEveryPictureAndWhatWasSkipped) {
  WriteJpeg(folder_ / "in/a.jpg", TwoTone(40, 60));
  WriteBytes(folder_ / "in/b.jpg", "none");
  WriteMaskPng(folder_ / "masks/a.png", PlainMask(40, 60, 0));

  const Outcome outcome = Segment({folder_ / "in", "--masks", folder_ / "masks", "-o", "json"});

  EXPECT_EQ(outcome.exit_code, 1);
  const nlohmann::json json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["segmented"], 1);
  ASSERT_EQ(json["pictures"].size(), 1u);
  EXPECT_EQ(json["pictures"][0]["image"], "a");
  EXPECT_EQ(json["pictures"][0]["segmentation"], folder_ / "out/a_segmentation.png");
  EXPECT_TRUE(json["pictures"][0]["dice"].is_number());
  ASSERT_EQ(json["skipped"].size(), 1u);
  EXPECT_THAT(json["skipped"][0]["file"].get<std::string>(), HasSubstr("in/b.jpg"));
}

TEST_F(SegmentTest, ABarIsDrawnOverItselfOnATerminal) {
  WriteJpeg(folder_ / "in/a.jpg", TwoTone(40, 60));
  WriteJpeg(folder_ / "in/b.jpg", TwoTone(40, 60));
  std::ostringstream out;
  std::ostringstream talk;
  SegmentOptions options;
  options.model.model = folder_ / "model";
  options.pictures = {folder_ / "in"};
  options.folder = folder_ / "out";

  const auto outcome = SegmentPictures(options, {out, talk, /*has_bar=*/true, /*width=*/40});

  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_THAT(talk.str(),
              AllOf(HasSubstr("\r\x1b[2K[############------------] 1/2 a"),
                    HasSubstr("[########################] 2/2 b"), Not(HasSubstr("\n"))));
  EXPECT_EQ(out.str(), "2 of 2 pictures segmented into " + options.folder + "\n");
}

}  // namespace
}  // namespace g2ll::tool
