// Fine-tuning as a job and over several ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <sstream>

#include "tests/train/assignments.h"
#include "tests/train/fakes.h"
#include "tests/train/gang.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/job/outcome.h"
#include "worker/job/run_job.h"
#include "worker/train/train_loop.h"

namespace g2ll {
namespace {

namespace fs = std::filesystem;
using test::FakeBatches;
using test::RankResult;
using test::Recorder;
using test::TempDirectory;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Three steps at a constant rate on the same eight images, this rank's share in so many
// parts; losses, then every parameter.
std::string ThreeSteps(dist::Collective& collective, finetune::SegmentationTaskOptions options,
                       torch::Dtype dtype, int64_t accumulate) {
  at::set_num_threads(1);
  options.dtype = dtype;
  FakeBatches batches;
  batches.rank = collective.rank();
  batches.world_size = collective.world_size();
  finetune::SegmentationTask task(options, test::FakeSegmentationLoader(batches), nullptr,
                                  collective);
  train::AdamW optimizer(task.Parameters(), {});
  std::vector<torch::Tensor> tensors;
  for (const auto& parameter : optimizer.parameters()) tensors.push_back(parameter.tensor);
  const auto reducer = collective.MakeGradientReducer(tensors);
  std::ostringstream out;
  out << std::setprecision(17);
  for (int64_t step = 0; step < 3; ++step) {
    const train::StepContext context{step, static_cast<double>(step), 8};
    const auto num_images = task.LoadBatch(context);
    if (!num_images.ok()) return "no batch";
    reducer->ZeroGradients();
    torch::Tensor loss = torch::zeros({1}, torch::kFloat64);
    for (const train::MicroBatch& part : train::SplitShare(*num_images, accumulate)) {
      const train::StepResult result = task.ComputeLoss(context, part);
      reducer->Backward(result.loss, /*is_last=*/part.end == *num_images);
      loss += result.loss.detach().to(torch::kFloat64) / collective.world_size();
    }
    collective.AllReduceSum(loss);
    optimizer.Step(/*lr=*/1e-3, /*weight_decay=*/0.05);
    task.AfterStep(context);
    out << loss.item<double>() << " ";
  }
  for (const torch::Tensor& tensor : tensors) {
    const torch::Tensor flat = tensor.detach().to(torch::kFloat64).flatten();
    for (int64_t i = 0; i < flat.numel(); ++i) out << flat[i].item<double>() << " ";
  }
  return out.str();
}

std::vector<double> Numbers(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<double>(in), {}};
}

struct Variant {
  const char* name;
  model::DecoderKind decoder = model::DecoderKind::kCup;
  model::NormLayer norm = model::NormLayer::kBatch;
  finetune::LossKind loss = finetune::LossKind::kBceDice;
  loss::DiceReduction dice_over = loss::DiceReduction::kImage;
  double drop_path = 0;
};

class FinetuneDistTest : public ::testing::TestWithParam<Variant> {
 protected:
  static finetune::SegmentationTaskOptions Options() {
    finetune::SegmentationTaskOptions options = test::TinySegmentationOptions(3);
    options.network.decoder = GetParam().decoder;
    options.network.norm = GetParam().norm;
    options.network.vit.drop_path = GetParam().drop_path;
    options.loss = GetParam().loss;
    options.dice_over = GetParam().dice_over;
    options.layer_decay = 0.75;
    return options;
  }

  // Losses and, in double precision, every parameter. In fp32 Adam's division blows
  // rounding up in the weights, so there only the losses.
  static void ExpectSame(int ranks, int64_t accumulate, torch::Dtype dtype, double tolerance) {
    const auto run = [&](int world_size, int64_t parts) {
      return test::RunGang(world_size, [&](dist::Collective& collective) {
        return ThreeSteps(collective, Options(), dtype, parts);
      });
    };
    const std::vector<double> expected = Numbers(run(1, 1)[0].output);
    ASSERT_GT(expected.size(), 1000U);
    for (const RankResult& rank : run(ranks, accumulate)) {
      const std::vector<double> actual = Numbers(rank.output);
      ASSERT_EQ(actual.size(), expected.size()) << rank.output.substr(0, 200);
      const size_t compared = dtype == torch::kFloat64 ? expected.size() : 3;
      double worst = 0;
      for (size_t i = 0; i < compared; ++i) {
        worst = std::max(worst, std::abs(actual[i] - expected[i]));
      }
      EXPECT_LT(worst, tolerance);
    }
  }
};

TEST_P(FinetuneDistTest, OneRankEqualsTwoInDoublePrecisionAndInLossesInSingle) {
  ExpectSame(2, 1, torch::kFloat64, 1e-9);
  ExpectSame(2, 1, torch::kFloat32, 1e-5);
}

TEST_P(FinetuneDistTest, OneRankEqualsFour) { ExpectSame(4, 1, torch::kFloat64, 1e-9); }

INSTANTIATE_TEST_SUITE_P(
    All, FinetuneDistTest,
    ::testing::Values(Variant{.name = "Cup"}, Variant{.name = "CupWithDropPath", .drop_path = 0.5},
                      Variant{.name = "DiceOverTheBatch", .dice_over = loss::DiceReduction::kBatch},
                      Variant{.name = "MultiLevelStructure",
                              .decoder = model::DecoderKind::kCupMulti,
                              .loss = finetune::LossKind::kStructure},
                      Variant{.name = "MultiLevelGroupNorm",
                              .decoder = model::DecoderKind::kCupMulti,
                              .norm = model::NormLayer::kGroup},
                      Variant{.name = "Linear", .decoder = model::DecoderKind::kLinear},
                      Variant{.name = "Unet", .decoder = model::DecoderKind::kUnet}),
    [](const auto& info) { return std::string(info.param.name); });

// What takes nothing over the batch may take a share in parts.
class FinetunePartsTest : public FinetuneDistTest {};

TEST_P(FinetunePartsTest, PartsEqualTheWhole) {
  ExpectSame(1, 2, torch::kFloat64, 1e-9);
  ExpectSame(2, 2, torch::kFloat64, 1e-9);
}

INSTANTIATE_TEST_SUITE_P(All, FinetunePartsTest,
                         ::testing::Values(Variant{.name = "MultiLevelGroupNorm",
                                                   .decoder = model::DecoderKind::kCupMulti,
                                                   .norm = model::NormLayer::kGroup,
                                                   .drop_path = 0.5},
                                           Variant{.name = "LinearStructure",
                                                   .decoder = model::DecoderKind::kLinear,
                                                   .loss = finetune::LossKind::kStructure}),
                         [](const auto& info) { return std::string(info.param.name); });

// One rank of a job; `EXIT MESSAGE`.
std::string RunAlone(const trainer::v1::Assignment& assignment) {
  return test::RunProcesses(1,
                            [&](int, int) {
                              Recorder recorder;
                              const absl::Status status = job::RunJob(assignment, recorder, {});
                              return std::to_string(job::ExitCodeOf(status)) + " " +
                                     std::string(status.message());
                            })[0]
      .output;
}

class FinetuneJobTest : public ::testing::Test {
 protected:
  // A checkpoint of one update of pre-training, relative to the storage root.
  std::string Pretrained(v1::PretrainSpec::Method method = v1::PretrainSpec::MAE) {
    trainer::v1::Assignment job = test::SmokePretrain(storage_.path());
    v1::PretrainSpec& spec = *job.mutable_spec()->mutable_pretrain();
    spec.set_method(method);
    if (method == v1::PretrainSpec::MAE) spec.mutable_distill()->set_lambda(0);
    spec.mutable_train()->set_max_steps(1);
    EXPECT_THAT(RunAlone(job), StartsWith("0 "));
    return job.checkpoint_parent() + "/s1";
  }

  trainer::v1::Assignment Finetune(const std::string& source, int64_t max_steps = 1) {
    trainer::v1::Assignment job = test::SmokeFinetune(storage_.path());
    job.set_source_path(source);
    job.set_checkpoint_parent("checkpoints/ft" + std::to_string(++num_jobs_));
    job.mutable_spec()->mutable_finetune()->mutable_train()->set_max_steps(max_steps);
    return job;
  }

  // The folder that an export of this checkpoint gives, with this configuration.
  std::string Exported(const std::string& checkpoint, const std::string& from,
                       const std::string& to) {
    const fs::path source = fs::path(storage_.path()) / checkpoint;
    const fs::path folder = fs::path(storage_.path()) / "exported";
    fs::create_directories(folder);
    fs::copy_file(source / "encoder.safetensors", folder / "model.safetensors",
                  fs::copy_options::overwrite_existing);
    std::ifstream in(source / "export_config.json");
    std::string text(std::istreambuf_iterator<char>(in), {});
    const size_t place = text.find(from);
    EXPECT_NE(place, std::string::npos) << text;
    if (place != std::string::npos) text.replace(place, from.size(), to);
    std::ofstream(folder / "config.json") << text;
    return "exported";
  }

  static v1::FinetuneSpec& SpecOf(trainer::v1::Assignment& job) {
    return *job.mutable_spec()->mutable_finetune();
  }

  TempDirectory storage_;
  int num_jobs_ = 0;
};

TEST_F(FinetuneJobTest, AnEncoderOfAnotherShapeIsRefusedInOneLineWithTheKeysToChange) {
  trainer::v1::Assignment job = Finetune(Pretrained());
  SpecOf(job).mutable_model()->set_dim(64);
  SpecOf(job).mutable_model()->set_depth(3);
  const std::string output = RunAlone(job);
  EXPECT_THAT(output, StartsWith("77 "));
  EXPECT_THAT(output, HasSubstr("cls_token is [1,1,128], expected [1,1,64]"));
  EXPECT_THAT(output, HasSubstr("set model.dim 128 and model.depth 4"));
  EXPECT_THAT(output, Not(HasSubstr("\n")));
}

TEST_F(FinetuneJobTest, TheTeacherOfAMethodWithoutOneIsRefusedForGoodWithTheKeyToChange) {
  trainer::v1::Assignment job = Finetune(Pretrained());
  SpecOf(job).mutable_seg()->set_encoder(v1::SegmentationSpec::TEACHER);
  const std::string output = RunAlone(job);
  EXPECT_THAT(output, StartsWith("77 "));
  EXPECT_THAT(output, HasSubstr("seg.encoder teacher"));
  EXPECT_THAT(output, HasSubstr("use seg.encoder student"));
}

TEST_F(FinetuneJobTest, AnotherImageSizeIsFitted) {
  trainer::v1::Assignment job = Finetune(Pretrained());
  SpecOf(job).mutable_model()->set_image_size(96);
  EXPECT_THAT(RunAlone(job), StartsWith("0 "));
}

TEST_F(FinetuneJobTest, AnotherNumberOfHeadsIsRefused) {
  trainer::v1::Assignment job = Finetune(Pretrained());
  SpecOf(job).mutable_model()->set_heads(2);
  const std::string output = RunAlone(job);
  EXPECT_THAT(output, StartsWith("77 "));
  EXPECT_THAT(output, HasSubstr("set model.heads 4"));
}

TEST_F(FinetuneJobTest, AnotherPixelScalingIsRefusedAlsoOfAnExportedEncoder) {
  const std::string checkpoint = Pretrained();
  trainer::v1::Assignment job = Finetune(checkpoint);
  SpecOf(job).mutable_data()->set_norm(v1::DataSpec::UNIT);
  const std::string of_checkpoint = RunAlone(job);
  EXPECT_THAT(of_checkpoint, StartsWith("77 data.norm unit: "));
  EXPECT_THAT(of_checkpoint, HasSubstr("set data.norm imagenet"));

  const std::string folder = Exported(checkpoint, "\"depth\"", "\"depth\"");
  job.set_source_path(folder);
  EXPECT_THAT(RunAlone(job), StartsWith("77 data.norm unit: "));
  job.set_source_path(folder + "/model.safetensors");
  EXPECT_THAT(RunAlone(job), StartsWith("77 data.norm unit: "));
  SpecOf(job).mutable_data()->set_norm(v1::DataSpec::IMAGENET);
  EXPECT_THAT(RunAlone(job), StartsWith("0 "));
}

TEST_F(FinetuneJobTest, PositionsThatContradictTheConfigurationAreRefused) {
  trainer::v1::Assignment job = Finetune(Exported(Pretrained(), "\"sincos2d\"", "\"learned\""));
  const std::string output = RunAlone(job);
  EXPECT_THAT(output, StartsWith("77 "));
  EXPECT_THAT(output, HasSubstr("pos_embed is the fixed table"));
}

TEST_F(FinetuneJobTest, TrainedPositionsAreTakenAlsoAtAnotherSize) {
  trainer::v1::Assignment pretrain = test::SmokePretrain(storage_.path());
  pretrain.mutable_spec()->mutable_pretrain()->mutable_model()->set_positions(
      v1::ModelSpec::LEARNED);
  pretrain.mutable_spec()->mutable_pretrain()->mutable_train()->set_max_steps(1);
  ASSERT_THAT(RunAlone(pretrain), StartsWith("0 "));
  trainer::v1::Assignment job = Finetune(pretrain.checkpoint_parent() + "/s1");
  SpecOf(job).mutable_model()->set_image_size(96);
  EXPECT_THAT(RunAlone(job), StartsWith("0 "));
  const auto tensors = checkpoint::LoadTensors(fs::path(storage_.path()) / job.checkpoint_parent() /
                                               "s1" / "encoder.safetensors");
  ASSERT_TRUE(tensors.ok());
  EXPECT_EQ(tensors->at("pos_embed").sizes(), (std::vector<int64_t>{1, 145, 128}));
}

TEST_F(FinetuneJobTest, EveryDecoderRunsAndIsEvaluated) {
  const std::string source = Pretrained();
  for (const auto decoder : {v1::SegmentationSpec::CUP_MULTI, v1::SegmentationSpec::LINEAR,
                             v1::SegmentationSpec::UNET}) {
    trainer::v1::Assignment job =
        Finetune(decoder == v1::SegmentationSpec::UNET ? "" : source, /*max_steps=*/2);
    v1::SegmentationSpec& seg = *SpecOf(job).mutable_seg();
    seg.set_decoder(decoder);
    seg.set_norm(v1::SegmentationSpec::GROUP_NORM);
    seg.set_ema(0.9);
    seg.set_select(v1::SegmentationSpec::BEST_IOU);
    SpecOf(job).mutable_aug()->set_cutmix(1);
    SpecOf(job).mutable_optim()->set_layer_decay(0.75);
    SpecOf(job).mutable_optim()->set_schedule(v1::OptimSpec::COSINE_T20);
    ASSERT_THAT(RunAlone(job), StartsWith("0 ")) << v1::SegmentationSpec::Decoder_Name(decoder);

    trainer::v1::Assignment evaluate = test::SmokeEvaluate(storage_.path());
    evaluate.mutable_spec()->mutable_evaluate()->mutable_data()->set_max_images(2);
    evaluate.set_source_path(job.checkpoint_parent() + "/s2");
    evaluate.set_report_path(job.checkpoint_parent() + "-report");
    EXPECT_THAT(RunAlone(evaluate), StartsWith("0 "))
        << v1::SegmentationSpec::Decoder_Name(decoder);
  }
}

TEST_F(FinetuneJobTest, AUnetTakesNoEncoder) {
  trainer::v1::Assignment job = Finetune(Pretrained());
  SpecOf(job).mutable_seg()->set_decoder(v1::SegmentationSpec::UNET);
  const std::string output = RunAlone(job);
  EXPECT_THAT(output, StartsWith("77 "));
  EXPECT_THAT(output, HasSubstr("init.from none"));
}

}  // namespace
}  // namespace g2ll
