// Fine-tuning as a job and over several ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/train/assignments.h"
#include "tests/train/fakes.h"
#include "tests/train/gang.h"
#include "tests/train/splits.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/job/outcome.h"
#include "worker/job/run_job.h"

namespace g2ll {
namespace {

namespace fs = std::filesystem;
using test::ExpectSameHoweverSplit;
using test::Recorder;
using test::TempDirectory;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

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
  static std::vector<double> Numbers(dist::Collective& collective, int64_t accumulate,
                                     torch::Dtype dtype) {
    finetune::SegmentationTaskOptions options = test::TinySegmentationOptions(3);
    options.dtype = dtype;
    options.network.decoder = GetParam().decoder;
    options.network.norm = GetParam().norm;
    options.network.vit.drop_path = GetParam().drop_path;
    options.loss = GetParam().loss;
    options.dice_over = GetParam().dice_over;
    options.layer_decay = 0.75;
    finetune::SegmentationTask task(
        options, test::FakeSegmentationLoader(test::ShareOf(collective)), nullptr, collective);
    return test::ThreeUpdates(task, accumulate, collective, /*clip=*/0);
  }
};

TEST_P(FinetuneDistTest, OneRankEqualsTwoInDoublePrecisionAndInLossesInSingle) {
  ExpectSameHoweverSplit(Numbers, {{.ranks = 2}});
}

TEST_P(FinetuneDistTest, OneRankEqualsFour) {
  ExpectSameHoweverSplit(Numbers, {{.ranks = 4}}, {torch::kFloat64});
}

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
  ExpectSameHoweverSplit(Numbers, {{.accumulate = 2}, {2, 2}}, {torch::kFloat64});
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

// What a user named and is not there will not come by itself; a job's checkpoint may.
TEST_F(FinetuneJobTest, AnEncoderThatIsNotThereEndsTheJobForGoodWhereAUserGaveItsPath) {
  trainer::v1::Assignment job = Finetune("nowhere");
  EXPECT_THAT(RunAlone(job), StartsWith("1 "));

  const std::string path = storage_.path() + "/nowhere";
  SpecOf(job).mutable_init()->set_from("file:" + path);
  job.set_source_path(path);
  EXPECT_THAT(RunAlone(job), StartsWith("77 " + path + ": no such file or folder"));

  const std::string folder = Exported(Pretrained(), "\"depth\"", "\"depth\"");
  job.set_source_path(storage_.path() + "/" + folder);
  EXPECT_THAT(RunAlone(job), StartsWith("0 "));
  std::ofstream(job.source_path() + "/config.json") << R"({"imageSize": 64})";
  EXPECT_THAT(RunAlone(job), StartsWith("77 " + job.source_path()));
  std::ofstream(job.source_path() + "/model.safetensors") << "damage";
  EXPECT_THAT(RunAlone(job), StartsWith("77 " + job.source_path() + "/model.safetensors"));
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

// The teacher where the checkpoint has one, and nobody has to know whether it has.
TEST_F(FinetuneJobTest, WithoutAChoiceOfNetworkItIsTheTeacherWhereThereIsOne) {
  const auto weight = [&](const std::string& file) {
    return checkpoint::LoadTensors(fs::path(storage_.path()) / file)
        ->at("blocks.0.attn.qkv.weight");
  };
  for (const auto& [method, file] :
       {std::pair(v1::PretrainSpec::G2LL, "/teacher_encoder.safetensors"),
        std::pair(v1::PretrainSpec::MAE, "/encoder.safetensors")}) {
    const std::string source = Pretrained(method);
    trainer::v1::Assignment job = Finetune(source);
    SpecOf(job).mutable_seg()->clear_encoder();
    SpecOf(job).mutable_seg()->set_freeze_encoder(true);
    ASSERT_THAT(RunAlone(job), StartsWith("0 "));
    EXPECT_TRUE(torch::equal(weight(job.checkpoint_parent() + "/s1/encoder.safetensors"),
                             weight(source + file)));
    // The next checkpoint of pre-training has the same name.
    fs::remove_all(fs::path(storage_.path()) / source);
  }
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
