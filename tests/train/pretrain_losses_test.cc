// The losses of the pre-training task against the same networks put together by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "tests/train/fakes.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/loss/koleo_loss.h"
#include "worker/loss/sinkhorn.h"
#include "worker/model/position_table.h"
#include "worker/pretrain/collapse.h"
#include "worker/pretrain/pretrain_task.h"
#include "worker/pretrain/preview.h"

namespace g2ll::pretrain {
namespace {

using test::LoopRun;
using test::Recorder;
using test::TempDirectory;
using ::testing::AllOf;
using ::testing::HasSubstr;

const train::StepContext kFirst{0, 0, 8};
const train::MicroBatch kWhole{0, 8};

std::map<std::string, double> ValuesOf(PretrainTask& task, const train::StepContext& context) {
  EXPECT_TRUE(task.LoadBatch(context).ok());
  std::map<std::string, double> values;
  for (const auto& [name, value] : task.ComputeLoss(context, kWhole).values) {
    values[name] = value.item<double>();
  }
  return values;
}

// The student of a task as loose networks, and the batch of its first step.
struct Parts {
  model::VitEncoder encoder;
  model::MaeDecoder decoder;
  model::ProjectionHead head;
  std::map<std::string, torch::Tensor> parameters;
  data::PretrainBatch batch = *test::FakePretrainLoader({})->Next();

  Parts(PretrainTask& task, const PretrainOptions& options)
      : encoder(options.encoder),
        decoder(options.mim ? options.mim->decoder : model::MaeDecoderOptions{}),
        head(options.distill ? options.distill->head : model::ProjectionHeadOptions{}) {
    torch::NoGradGuard no_grad;
    for (const auto& [name, tensor, lr_scale] : task.Parameters()) parameters[name] = tensor;
    Fill(*encoder, "");
    Fill(*decoder, "");
    Fill(*head, "head.");
  }

  void Fill(torch::nn::Module& module, const std::string& prefix) {
    for (auto& item : module.named_parameters()) {
      const auto found = parameters.find(prefix + item.key());
      if (found != parameters.end()) item.value().copy_(found->second);
    }
  }

  // Rows' tokens that the masks hide, [R*m,D].
  torch::Tensor Masked(const torch::Tensor& tokens) const {
    const torch::Tensor ids = batch.masked_ids.unsqueeze(-1).expand({-1, -1, tokens.size(2)});
    return tokens.gather(1, ids).flatten(0, 1);
  }

  torch::Tensor Latent() { return encoder->forward_visible(batch.views, batch.visible_ids); }
  // At the first step the teacher has the student's weights.
  torch::Tensor TeacherTokens() { return encoder->forward(batch.views); }
};

TEST(PretrainLossesTest, PatchDistillationIsTheMeanOverMaskedPatchesThenOverViews) {
  dist::LocalCollective alone;
  PretrainOptions options = test::TinyPretrainOptions(2);
  options.ibot.emplace();
  options.ibot->teacher_temp = {0.05, 0.05, 0};
  PretrainTask task(options, test::FakePretrainLoader({}), alone);
  const auto values = ValuesOf(task, kFirst);

  torch::NoGradGuard no_grad;
  Parts parts(task, options);
  const torch::Tensor student = parts.head->forward(
      parts.Masked(parts.decoder->decode(parts.Latent(), parts.batch.visible_ids)));
  const torch::Tensor teacher =
      parts.head->forward(parts.Masked(parts.TeacherTokens().slice(1, 1)));
  const torch::Tensor of_patches =
      -(torch::softmax(teacher / 0.05, -1) * torch::log_softmax(student / 0.1, -1)).sum(-1);
  const double expected = of_patches.view({16, 4}).mean(1).mean().item<double>();
  EXPECT_NEAR(values.at("loss/ibot"), expected, 1e-5);

  // Its centre is that of patches, and a tenth of their mean after a step.
  EXPECT_EQ(task.patch_center()->value().abs().max().item<double>(), 0);
  task.AfterStep(kFirst, {});
  EXPECT_TRUE(
      torch::allclose(task.patch_center()->value(), teacher.mean(0, true) * 0.1, 1e-4, 1e-6));
}

TEST(PretrainLossesTest, PatchDistillationTrainsTheDecoderOrTheMaskToken) {
  dist::LocalCollective alone;
  for (const auto source : {IbotOptions::Source::kDecoder, IbotOptions::Source::kEncoder}) {
    const bool is_decoder = source == IbotOptions::Source::kDecoder;
    PretrainOptions options = test::TinyPretrainOptions(2);
    options.ibot.emplace();
    options.ibot->source = source;
    options.mim->lambda = 0;
    options.distill->lambda = 0;
    if (!is_decoder) options.student_input = StudentInput::kMaskToken;
    PretrainTask task(options, test::FakePretrainLoader({}), alone);
    ASSERT_TRUE(task.LoadBatch(kFirst).ok());
    task.ComputeLoss(kFirst, kWhole).loss.backward();
    std::map<std::string, double> norms;
    for (const auto& [name, tensor, lr_scale] : task.Parameters()) {
      norms[name] = tensor.grad().defined() ? tensor.grad().norm().item<double>() : -1;
    }
    EXPECT_GT(norms.at("blocks.0.attn.qkv.weight"), 0);
    EXPECT_EQ(norms.at("decoder_pred.weight"), 0);
    EXPECT_EQ(norms.at("decoder_blocks.0.attn.qkv.weight") > 0, is_decoder);
    if (!is_decoder) {
      EXPECT_GT(norms.at("encoder_mask_token"), 0);
    }
  }
}

TEST(PretrainLossesTest, KoLeoIsTheMeanOverViewsOfTheStudentsClassFeatures) {
  dist::LocalCollective alone;
  PretrainOptions options = test::TinyPretrainOptions(2);
  options.koleo_lambda = 0.1;
  PretrainTask task(options, test::FakePretrainLoader({}), alone);
  const auto values = ValuesOf(task, kFirst);

  torch::NoGradGuard no_grad;
  Parts parts(task, options);
  const torch::Tensor features = parts.Latent().select(1, 0);
  const double expected =
      (loss::KoLeoLoss(features.slice(0, 0, 8)) + loss::KoLeoLoss(features.slice(0, 8)))
          .item<double>() /
      2;
  EXPECT_NEAR(values.at("loss/koleo"), expected, 1e-4);
  EXPECT_NEAR(values.at("loss"),
              values.at("loss/mim") + values.at("loss/distill") + 0.1 * values.at("loss/koleo"),
              1e-5);
}

TEST(PretrainLossesTest, TheCenterEntersOnlyTheNextStepsLoss) {
  dist::LocalCollective alone;
  PretrainOptions options = test::TinyPretrainOptions(2);
  PretrainTask task(options, test::FakePretrainLoader({}), alone);
  const auto values = ValuesOf(task, kFirst);

  torch::NoGradGuard no_grad;
  Parts parts(task, options);
  const torch::Tensor teacher = parts.head->forward(parts.TeacherTokens().select(1, 0));
  const torch::Tensor student = parts.head->forward(parts.Latent().select(1, 0));
  EXPECT_NEAR(values.at("loss/distill"),
              loss::DistillationLoss(student, teacher, torch::zeros({1, 64}), {}).item<double>(),
              1e-5);
  EXPECT_EQ(values.at("center_norm"), 0);
  task.AfterStep(kFirst, {});
  EXPECT_TRUE(torch::allclose(task.center()->value(), teacher.mean(0, true) * 0.1, 1e-4, 1e-6));
}

TEST(PretrainLossesTest, SinkhornTakesThePlaceOfTheCenter) {
  dist::LocalCollective alone;
  PretrainOptions options = test::TinyPretrainOptions(2);
  options.distill->centering = Centering::kSinkhorn;
  PretrainTask task(options, test::FakePretrainLoader({}), alone);
  const auto values = ValuesOf(task, kFirst);

  torch::NoGradGuard no_grad;
  Parts parts(task, options);
  const torch::Tensor teacher = loss::SinkhornAssignments(
      parts.head->forward(parts.TeacherTokens().select(1, 0)), {.temperature = 0.04});
  const torch::Tensor student = parts.head->forward(parts.Latent().select(1, 0));
  EXPECT_NEAR(values.at("loss/distill"),
              loss::DistillationLossOf(student, teacher, {}).item<double>(), 1e-5);
  EXPECT_EQ(task.center(), nullptr);
  EXPECT_FALSE(values.contains("center_norm"));
}

TEST(PretrainLossesTest, OnlyTheChosenCentersAreSaved) {
  dist::LocalCollective alone;
  for (const auto centering : {Centering::kMean, Centering::kSinkhorn}) {
    PretrainOptions options = test::TinyPretrainOptions(1);
    options.distill->centering = centering;
    options.ibot.emplace();
    PretrainTask task(options, test::FakePretrainLoader({}), alone);
    Recorder recorder;
    TempDirectory storage;
    LoopRun run{.storage = storage.path(), .parent = "c"};
    ASSERT_TRUE(test::RunLoop(task, alone, recorder, run).ok());
    const auto saved = checkpoint::LoadTensors(storage.path() + "/c/s1/teacher_head.safetensors");
    ASSERT_TRUE(saved.ok()) << saved.status();
    EXPECT_EQ(saved->contains("center"), centering == Centering::kMean);
    EXPECT_TRUE(saved->contains("patch_center"));
  }
}

TEST(PretrainLossesTest, SumsCountEveryViewAndPair) {
  dist::LocalCollective alone;
  PretrainOptions options = test::TinyPretrainOptions(2);
  options.distill->pairs = loss::Pairs::kAll;
  options.ibot.emplace();
  PretrainTask mean(options, test::FakePretrainLoader({}), alone);
  options.is_summed = true;
  PretrainTask sum(options, test::FakePretrainLoader({}), alone);
  const auto of_mean = ValuesOf(mean, kFirst);
  const auto of_sum = ValuesOf(sum, kFirst);

  EXPECT_NEAR(of_sum.at("loss/mim"), 2 * of_mean.at("loss/mim"), 1e-5);
  EXPECT_NEAR(of_sum.at("loss/distill"), 4 * of_mean.at("loss/distill"), 1e-4);
  EXPECT_NEAR(of_sum.at("loss/ibot"), 2 * of_mean.at("loss/ibot"), 1e-5);
  EXPECT_NEAR(of_sum.at("teacher_student_kl"), of_mean.at("teacher_student_kl"), 1e-5);
}

TEST(PretrainLossesTest, MasksFromAttentionHideWhatTheTeacherAttendsTo) {
  dist::LocalCollective alone;
  PretrainOptions options = test::TinyPretrainOptions(2);
  options.attention_mask.emplace();
  options.attention_mask->kind = mask::MaskKind::kAttention;
  options.attention_mask->attention_share = 1;
  PretrainTask task(options, test::FakePretrainLoader({}), alone);
  torch::NoGradGuard no_grad;
  Parts parts(task, options);

  const StudentPreview preview = task.Preview(parts.batch);

  const torch::Tensor attention = parts.encoder->forward_attended(parts.batch.views).attention;
  const torch::Tensor expected = std::get<0>(std::get<1>(attention.topk(4)).sort());
  EXPECT_TRUE(torch::equal(preview.batch.masked_ids, expected));
  EXPECT_FALSE(
      torch::equal(preview.batch.masked_ids, test::FakePretrainLoader({})->Next()->masked_ids));
  // Visible and masked are still all patches once.
  const torch::Tensor both = torch::cat({preview.batch.masked_ids, preview.batch.visible_ids}, 1);
  EXPECT_TRUE(torch::equal(std::get<0>(both.sort(1)), torch::arange(16).expand({16, 16})));
}

TEST(PretrainLossesTest, LengthsOfTheLastLayerAreTrainedOnlyIfAskedFor) {
  dist::LocalCollective alone;
  PretrainOptions options = test::TinyPretrainOptions(2);
  options.distill->freeze_epochs = 0;
  for (const bool norm_last_layer : {true, false}) {
    options.distill->head.norm_last_layer = norm_last_layer;
    PretrainTask task(options, test::FakePretrainLoader({}), alone);
    Recorder recorder;
    TempDirectory storage;
    LoopRun run{.last_step = 1, .storage = storage.path(), .parent = "c"};
    ASSERT_TRUE(test::RunLoop(task, alone, recorder, run).ok());
    const auto saved = checkpoint::LoadTensors(storage.path() + "/c/s1/head.safetensors");
    ASSERT_TRUE(saved.ok());
    EXPECT_EQ(torch::equal(saved->at("head.last_layer.weight_g"), torch::ones({64, 1})),
              norm_last_layer);
  }
}

TEST(PretrainLossesTest, EachLossesGradientOnTheEncoderIsMeasuredOnceAnEpoch) {
  dist::LocalCollective alone;
  PretrainOptions options = test::TinyPretrainOptions(100);
  options.distill.reset();
  options.mim->lambda = 3;
  options.steps_per_epoch = 60;
  PretrainTask task(options, test::FakePretrainLoader({}), alone);
  ASSERT_TRUE(task.LoadBatch(kFirst).ok());
  const train::StepResult result = task.ComputeLoss(kFirst, kWhole);
  result.loss.backward();
  double squares = 0;
  for (const auto& [name, tensor, lr_scale] : task.Parameters()) {
    if (name.find("decoder") != std::string::npos || name == "mask_token") continue;
    squares += tensor.grad().square().sum().item<double>();
  }
  std::map<std::string, double> values;
  for (const auto& [name, value] : result.values) values[name] = value.item<double>();

  EXPECT_TRUE(result.is_notable);
  EXPECT_NEAR(values.at("grad_norm/mim"), std::sqrt(squares), 1e-4 * std::sqrt(squares));
  EXPECT_FALSE(ValuesOf(task, {59, 59.0 / 60, 8}).contains("grad_norm/mim"));
  EXPECT_TRUE(ValuesOf(task, {60, 1, 8}).contains("grad_norm/mim"));
}

TEST(PretrainLossesTest, DiagnosticsTellAHealthyStart) {
  dist::LocalCollective alone;
  const PretrainOptions options = test::TinyPretrainOptions(2);
  PretrainTask task(options, test::FakePretrainLoader({}), alone);
  const auto values = ValuesOf(task, kFirst);

  torch::NoGradGuard no_grad;
  Parts parts(task, options);
  const torch::Tensor features = parts.Latent().select(1, 0);
  const torch::Tensor teacher =
      torch::softmax(parts.head->forward(parts.TeacherTokens().select(1, 0)) / 0.04, -1);
  const torch::Tensor student = torch::softmax(parts.head->forward(features) / 0.1, -1);
  const double entropy = -(teacher * teacher.log()).sum(1).mean().item<double>();
  EXPECT_NEAR(values.at("teacher_entropy"), entropy, 1e-5);
  const double kl = (teacher * (teacher / student).log()).sum(1).mean().item<double>();
  EXPECT_NEAR(values.at("teacher_student_kl"), kl, 1e-5);
  EXPECT_GT(kl, 1e-3);
  const torch::Tensor unit = features / features.norm(2, 1, /*keepdim=*/true);
  const double deviation = std::sqrt(unit.var(0, /*unbiased=*/false).mean().item<double>());
  EXPECT_NEAR(values.at("feature_std"), deviation, 1e-6);
  EXPECT_GT(deviation, 1e-3);
  EXPECT_LE(deviation, 1 / std::sqrt(32));
}

TEST(CollapseWarningTest, NamesBothCollapsesAndKeepsSilentInBetween) {
  const CollapseLimits limits{.num_prototypes = 64, .warmup_steps = 10};
  const double uniform = std::log(64.0);
  EXPECT_EQ(CollapseWarning(limits, 20, 0.98 * uniform), "");
  EXPECT_EQ(CollapseWarning(limits, 20, 0.06), "");
  EXPECT_THAT(CollapseWarning(limits, 20, 0.995 * uniform), HasSubstr("0.99 ln K"));
  // Before training an output is close to uniform.
  EXPECT_EQ(CollapseWarning(limits, 9, 0.995 * uniform), "");
  EXPECT_THAT(CollapseWarning(limits, 0, 0.04),
              AllOf(HasSubstr("almost one-hot"), HasSubstr("below 0.05 nat")));
}

TEST(EmaTeacherTest, MomentumOneKeepsItsBitsAndZeroCopiesTheStudent) {
  PretrainOptions options = test::TinyPretrainOptions(2);
  model::VitEncoder student(options.encoder);
  model::ProjectionHead head(options.distill->head);
  torch::manual_seed(1);
  for (auto& parameter : student->parameters()) torch::nn::init::normal_(parameter);
  EmaTeacher teacher(options.encoder, options.distill->head, student, head);
  const auto weight = [](model::VitEncoder encoder) {
    return encoder->named_parameters()["blocks.1.attn.qkv.weight"];
  };
  const torch::Tensor start = weight(teacher.encoder()).clone();
  EXPECT_TRUE(torch::equal(start, weight(student)));
  for (auto& parameter : student->parameters()) torch::nn::init::normal_(parameter);

  teacher.Update(1);
  EXPECT_TRUE(torch::equal(weight(teacher.encoder()), start));
  teacher.Update(0.75);
  EXPECT_TRUE(torch::allclose(weight(teacher.encoder()), 0.75 * start + 0.25 * weight(student)));
  teacher.Update(0);
  EXPECT_TRUE(torch::equal(weight(teacher.encoder()), weight(student)));
}

TEST(EmaTeacherTest, HasNoGradientsAndFixedPositionsNeverChange) {
  dist::LocalCollective alone;
  PretrainOptions options = test::TinyPretrainOptions(3);
  options.encoder.drop_path = 0.5;
  PretrainTask task(options, test::FakePretrainLoader({}), alone);
  Recorder recorder;
  TempDirectory storage;
  LoopRun run{.last_step = 3, .storage = storage.path(), .parent = "c"};
  ASSERT_TRUE(test::RunLoop(task, alone, recorder, run).ok());

  for (const auto& parameter : task.teacher()->encoder()->parameters()) {
    EXPECT_FALSE(parameter.requires_grad());
    EXPECT_FALSE(parameter.grad().defined());
  }
  EXPECT_FALSE(task.teacher()->encoder()->is_training());
  for (const char* file : {"encoder", "teacher_encoder"}) {
    const auto saved = checkpoint::LoadTensors(storage.path() + "/c/s3/" + file + ".safetensors");
    ASSERT_TRUE(saved.ok());
    EXPECT_TRUE(torch::equal(saved->at("pos_embed"), model::SinCosPositions(4, 32))) << file;
  }
}

}  // namespace
}  // namespace g2ll::pretrain
