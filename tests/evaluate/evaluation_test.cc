#include "worker/evaluate/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/data/test_files.h"
#include "tests/evaluate/tiny_segmenter.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/data/loader.h"
#include "worker/evaluate/segmenter.h"
#include "worker/metric/overlap.h"
#include "worker/train/failure.h"

namespace g2ll::evaluate {
namespace {

namespace fs = std::filesystem;
using test::MakeTinyNetwork;
using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSource[] = "synthetic:dermoscopy?count=12&seed=3&size=96";

// Keeps what an evaluation tells.
class Recorder final : public run::RunEvents {
 public:
  void OnJoined() override {}
  void OnMetric(const run::MetricSample& sample) override { metrics[sample.name] = sample.value; }
  void OnProgress(const run::Progress& progress) override {
    last_progress = progress;
    if (on_progress) on_progress(progress);
  }
  absl::Status OnCheckpoint(const run::WrittenCheckpoint&) override { return absl::OkStatus(); }
  void OnReport(const std::string& path) override { report = path; }

  std::map<std::string, double> metrics;
  run::Progress last_progress;
  std::function<void(const run::Progress&)> on_progress;
  std::string report;
};

class EvaluationTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "evaluation-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    torch::set_num_threads(1);  // threads only wait for each other on so small a network
    options_.job = "eval";
    options_.data.source = kSource;
    options_.data.split = data::Split::kTest;
    options_.checkpoint = (root_ / "checkpoints" / "s7").string();
    options_.storage_root = root_.string();
    options_.report_path = "reports/uid/e1";
    options_.batch = 3;
    options_.threads = 2;
  }
  void TearDown() override { fs::remove_all(root_); }

  void WriteCheckpoint(model::SegmentationNetwork network, const std::string& pretrain_ids = "[]",
                       bool is_segmenter = true) {
    auto writer = checkpoint::CheckpointWriter::Create(root_ / "checkpoints", "s7");
    ASSERT_TRUE(writer.ok()) << writer.status();
    const fs::path directory = writer->directory();
    ASSERT_TRUE(
        checkpoint::SaveTensors(directory / "encoder.safetensors", network->encoder_state()).ok());
    if (is_segmenter) {
      ASSERT_TRUE(checkpoint::SaveTensors(directory / "segmentation.safetensors",
                                          network->segmentation_state())
                      .ok());
    }
    ASSERT_TRUE(writer->WriteFile("export_config.json", test::kTinyConfig).ok());
    const std::string history =
        R"({"runs": [{"job": "pre", "kind": "PretrainJob", "seconds": 2.0, "imagesPerSecond": 4.0,
           "images": 8, "series": {"loss": [[1, 3.0], [2, 2.0]]}}], "pretrainIds": )" +
        pretrain_ids + "}";
    ASSERT_TRUE(writer->WriteFile("history.json", history).ok());
    checkpoint::Manifest manifest;
    manifest.job = "ft";
    manifest.kind = "FinetuneJob";
    manifest.step = 7;
    ASSERT_TRUE(writer->Finish(manifest).ok());
  }

  // Evaluates a folder of three training and three test pairs instead.
  void WriteFolder() {
    const std::string folder = (root_ / "set").string();
    data::test::WriteIsicPairs(folder, "Training", 0, 3);
    data::test::WriteIsicPairs(folder, "Test_v2", 20, 3);
    options_.data.source = folder;
  }
  std::string TrainingMask(int number) const {
    return (root_ / "set/ISIC-2017_Training_Part1_GroundTruth" /
            ("ISIC_000000" + std::to_string(number) + "_segmentation.png"))
        .string();
  }

  nlohmann::json ReadReport() const {
    std::ifstream file(root_ / options_.report_path / "report.json");
    return nlohmann::json::parse(file);
  }

  // Nothing of a report may be seen after a failure.
  void ExpectNoReport() const {
    EXPECT_EQ(events_.report, "");
    EXPECT_TRUE(!fs::exists(root_ / "reports" / "uid") || fs::is_empty(root_ / "reports" / "uid"));
  }

  fs::path root_;
  EvaluationOptions options_;
  Recorder events_;
};

// Bilinear interpolation of one value by pixel centers, written out.
double Sample(const torch::TensorAccessor<float, 2>& map, int size, double y, double x) {
  y = std::clamp(y, 0.0, size - 1.0);
  x = std::clamp(x, 0.0, size - 1.0);
  const int y0 = static_cast<int>(y);
  const int x0 = static_cast<int>(x);
  const int y1 = std::min(y0 + 1, size - 1);
  const int x1 = std::min(x0 + 1, size - 1);
  const double top = map[y0][x0] + (x - x0) * (map[y0][x1] - map[y0][x0]);
  const double bottom = map[y1][x0] + (x - x0) * (map[y1][x1] - map[y1][x0]);
  return top + (y - y0) * (bottom - top);
}

TEST_F(EvaluationTest, ScoresAgreeWithOnesComputedAnotherWay) {
  model::SegmentationNetwork network = MakeTinyNetwork(5);
  WriteCheckpoint(network);

  const absl::Status status = RunEvaluation(options_, events_, {});

  ASSERT_TRUE(status.ok()) << status;
  data::DatasetOptions data = options_.data;
  data.needs_masks = true;
  const auto dataset = data::Dataset::Open(data);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  double dice = 0, iou = 0, dice_native = 0;
  const int64_t num_images = (*dataset)->size();
  for (int64_t i = 0; i < num_images; ++i) {
    const auto batch = data::LoadSegmentationBatch(**dataset, {i}, {.image_size = 32, .patch = 8});
    ASSERT_TRUE(batch.ok()) << batch.status();
    const torch::NoGradGuard no_grad;
    const torch::Tensor logits = network->forward(batch->images)[0][0].contiguous();
    const auto map = logits.accessor<float, 2>();
    metric::OverlapCounts counts;
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 32; ++x) {
        const bool truth = batch->masks[0][0][y][x].item<float>() > 0.5F;
        const bool lesion = map[y][x] > 0;
        counts.tp += lesion && truth;
        counts.fp += lesion && !truth;
        counts.fn += !lesion && truth;
      }
    }
    dice += metric::Dice(counts) / static_cast<double>(num_images);
    iou += metric::IoU(counts) / static_cast<double>(num_images);
    const auto mask = (*dataset)->LoadMask(i);
    ASSERT_TRUE(mask.ok());
    metric::OverlapCounts native;
    for (int y = 0; y < mask->height; ++y) {
      for (int x = 0; x < mask->width; ++x) {
        const bool truth = mask->pixels[static_cast<size_t>(y * mask->width + x)] != 0;
        const bool lesion = Sample(map, 32, (y + 0.5) * 32 / mask->height - 0.5,
                                   (x + 0.5) * 32 / mask->width - 0.5) > 0;
        native.tp += lesion && truth;
        native.fp += lesion && !truth;
        native.fn += !lesion && truth;
      }
    }
    dice_native += metric::Dice(native) / static_cast<double>(num_images);
  }
  EXPECT_THAT(events_.metrics["test/dice"], DoubleNear(dice, 1e-9));
  EXPECT_THAT(events_.metrics["test/iou"], DoubleNear(iou, 1e-9));
  // A pixel whose logit is nearly 0 may fall on either side.
  EXPECT_THAT(events_.metrics["test/dice_native"], DoubleNear(dice_native, 1e-3));
  EXPECT_EQ(events_.last_progress.step, num_images);
  EXPECT_EQ(events_.last_progress.total_steps, num_images);
}

TEST_F(EvaluationTest, TheReportHoldsBaselinesPhasesAndPictures) {
  WriteCheckpoint(MakeTinyNetwork(5));

  ASSERT_TRUE(RunEvaluation(options_, events_, {}).ok());

  EXPECT_EQ(events_.report, options_.report_path);
  const nlohmann::json report = ReadReport();
  EXPECT_EQ(report["images"], events_.last_progress.total_steps);
  EXPECT_EQ(report["dice"]["mean"], events_.metrics["test/dice"]);
  EXPECT_LE(report["dice"]["ciLow"], report["dice"]["mean"]);
  EXPECT_GE(report["dice"]["ciHigh"], report["dice"]["mean"]);
  // Lesions of the generator lie near the middle, so both do better than nothing.
  EXPECT_GT(report["baselines"]["constantMask"]["dice"], 0.3);
  EXPECT_GT(report["baselines"]["centeredEllipse"]["dice"], 0.3);
  ASSERT_EQ(report["phases"].size(), 2u);
  EXPECT_EQ(report["phases"][0]["name"], "pretrain");
  EXPECT_EQ(report["phases"][1]["name"], "evaluate");
  EXPECT_GT(report["phases"][1]["imagesPerSecond"], 0);
  const auto digest = checkpoint::Sha256OfFile(fs::path(options_.checkpoint) / "manifest.json");
  EXPECT_EQ(report["checkpointSha256"], digest.value());
  const fs::path overlays = root_ / options_.report_path / "overlays";
  EXPECT_EQ(std::distance(fs::directory_iterator(overlays), fs::directory_iterator()), 8);
}

TEST_F(EvaluationTest, SaysWhetherPretrainingSawTheImages) {
  data::DatasetOptions data = options_.data;
  data.needs_masks = true;
  const auto dataset = data::Dataset::Open(data);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  WriteCheckpoint(MakeTinyNetwork(5), "[\"other\", \"" + (*dataset)->id(0) + "\"]");

  ASSERT_TRUE(RunEvaluation(options_, events_, {}).ok());

  EXPECT_EQ(ReadReport()["pretrainDisjointFromTest"], false);
  EXPECT_EQ(ReadReport()["pretrainOverlap"]["images"], 1);
  EXPECT_EQ(ReadReport()["pretrainOverlap"]["first"].size(), 1u);
}

TEST_F(EvaluationTest, SameSeedGivesTheSameReport) {
  WriteCheckpoint(MakeTinyNetwork(5));
  ASSERT_TRUE(RunEvaluation(options_, events_, {}).ok());
  const nlohmann::json first = ReadReport();

  options_.report_path = "reports/uid/e2";
  options_.threads = 1;
  ASSERT_TRUE(RunEvaluation(options_, events_, {}).ok());

  const nlohmann::json second = ReadReport();
  EXPECT_EQ(first["dice"], second["dice"]);
  EXPECT_EQ(first["iou"], second["iou"]);
  EXPECT_EQ(first["baselines"], second["baselines"]);
}

TEST_F(EvaluationTest, ADamagedCheckpointIsRefused) {
  WriteCheckpoint(MakeTinyNetwork(5));
  std::fstream file(fs::path(options_.checkpoint) / "segmentation.safetensors",
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-4, std::ios::end);
  file.write("\x7f\x00\x00\x01", 4);
  file.close();

  const absl::Status status = RunEvaluation(options_, events_, {});

  EXPECT_THAT(std::string(status.message()), HasSubstr("segmentation.safetensors"));
  EXPECT_EQ(train::FailureOf(status), train::FailureKind::kStorage);
  ExpectNoReport();
}

// A path that a user gave; a missing checkpoint of a job is a fault of its storage.
TEST_F(EvaluationTest, AnExportedModelIsItsFolderOrItsFileAndAMissingOneIsASetting) {
  test::WriteExportedModel(MakeTinyNetwork(5), root_ / "model");
  options_.is_path_given = true;
  options_.checkpoint = (root_ / "model" / "model.safetensors").string();
  EXPECT_TRUE(RunEvaluation(options_, events_, {}).ok());
  options_.checkpoint = (root_ / "model").string();
  options_.report_path = "reports/uid/e2";
  EXPECT_TRUE(RunEvaluation(options_, events_, {}).ok());

  options_.report_path = "reports/uid/e3";
  std::ofstream(root_ / "model" / "config.json") << "{}";
  EXPECT_EQ(train::FailureOf(RunEvaluation(options_, events_, {})), train::FailureKind::kConfig);
  options_.checkpoint = (root_ / "nowhere").string();
  const absl::Status missing = RunEvaluation(options_, events_, {});
  EXPECT_EQ(train::FailureOf(missing), train::FailureKind::kConfig);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("nowhere: no such file or folder"));
  options_.is_path_given = false;
  EXPECT_EQ(train::FailureOf(RunEvaluation(options_, events_, {})), train::FailureKind::kStorage);
}

TEST_F(EvaluationTest, ACheckpointOfAnotherKindIsRefusedInOneLine) {
  WriteCheckpoint(MakeTinyNetwork(5), "[]", /*is_segmenter=*/false);

  const absl::Status status = RunEvaluation(options_, events_, {});

  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("holds no segmentation network"), Not(HasSubstr("\n"))));
  EXPECT_EQ(train::FailureOf(status), train::FailureKind::kConfig);
  ExpectNoReport();
}

TEST_F(EvaluationTest, APredictionThatIsNotANumberNamesTheImage) {
  model::SegmentationNetwork network = MakeTinyNetwork(5);
  {
    const torch::NoGradGuard no_grad;
    network->segmentation_state()[0].second.fill_(std::nanf(""));
  }
  WriteCheckpoint(network);

  const absl::Status status = RunEvaluation(options_, events_, {});

  EXPECT_EQ(train::FailureOf(status), train::FailureKind::kNonFinite);
  EXPECT_THAT(std::string(status.message()), HasSubstr("image "));
  ExpectNoReport();
}

TEST_F(EvaluationTest, StopsWhenAskedAndLeavesNothing) {
  WriteCheckpoint(MakeTinyNetwork(5));
  std::stop_source stop;
  stop.request_stop();

  const absl::Status status = RunEvaluation(options_, events_, stop.get_token());

  EXPECT_EQ(train::FailureOf(status), train::FailureKind::kPreempted);
  ExpectNoReport();
}

// A training mask that cannot be read would be the failure if the masks were read on.
TEST_F(EvaluationTest, StopsWhileItChoosesBaselines) {
  WriteCheckpoint(MakeTinyNetwork(5));
  WriteFolder();
  data::test::WriteBytes(TrainingMask(0), "no picture");
  EXPECT_EQ(train::FailureOf(RunEvaluation(options_, events_, {})), train::FailureKind::kData);
  std::stop_source stop;
  stop.request_stop();

  const absl::Status status = RunEvaluation(options_, events_, stop.get_token());

  EXPECT_EQ(train::FailureOf(status), train::FailureKind::kPreempted);
  ExpectNoReport();
}

TEST_F(EvaluationTest, StopsWhileItDrawsPictures) {
  WriteCheckpoint(MakeTinyNetwork(5));
  std::stop_source stop;
  events_.on_progress = [&stop](const run::Progress& progress) {
    if (progress.step == progress.total_steps) stop.request_stop();
  };

  const absl::Status status = RunEvaluation(options_, events_, stop.get_token());

  EXPECT_EQ(train::FailureOf(status), train::FailureKind::kPreempted);
  ExpectNoReport();
}

TEST_F(EvaluationTest, AReportSaysWhyBaselinesWereNotChosenByTrainingMasks) {
  WriteCheckpoint(MakeTinyNetwork(5));
  WriteFolder();
  ASSERT_TRUE(RunEvaluation(options_, events_, {}).ok());
  EXPECT_THAT(ReadReport()["baselines"]["note"].get<std::string>(),
              HasSubstr("by mean Dice on 3 training masks"));

  fs::remove(TrainingMask(1));
  options_.report_path = "reports/uid/e2";
  ASSERT_TRUE(RunEvaluation(options_, events_, {}).ok());
  EXPECT_THAT(ReadReport()["baselines"]["note"].get<std::string>(),
              AllOf(HasSubstr("ISIC_0000001.jpg: has no mask"), HasSubstr("fixed beforehand")));
}

TEST_F(EvaluationTest, AReportThatIsThereIsNeverOverwritten) {
  WriteCheckpoint(MakeTinyNetwork(5));
  fs::create_directories(root_ / options_.report_path);

  const absl::Status status = RunEvaluation(options_, events_, {});

  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(fs::is_empty(root_ / options_.report_path));
}

TEST_F(EvaluationTest, AnExportedModelPredictsLikeItsCheckpoint) {
  model::SegmentationNetwork network = MakeTinyNetwork(9);
  WriteCheckpoint(network);
  const fs::path exported = root_ / "exported";
  test::WriteExportedModel(network, exported);

  auto from_checkpoint = Segmenter::Load(options_.checkpoint, "cpu");
  auto from_export = Segmenter::Load(exported, "cpu");

  ASSERT_TRUE(from_checkpoint.ok()) << from_checkpoint.status();
  ASSERT_TRUE(from_export.ok()) << from_export.status();
  const torch::Tensor images = torch::rand({2, 3, 32, 32});
  EXPECT_TRUE(torch::equal(from_checkpoint->Predict(images), from_export->Predict(images)));
  EXPECT_EQ(from_export->input().image_size, 32);
}

}  // namespace
}  // namespace g2ll::evaluate
