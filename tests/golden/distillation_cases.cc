// head, g2ll, dino: self-distillation with its teacher, center and optimiser.
#include <torch/torch.h>

#include "tests/golden/cases.h"
#include "tests/golden/formula.h"
#include "tests/golden/models.h"
#include "worker/dist/collective.h"
#include "worker/loss/distillation_loss.h"
#include "worker/loss/reconstruction_loss.h"
#include "worker/model/mae_decoder.h"
#include "worker/model/projection_head.h"
#include "worker/model/vit_encoder.h"
#include "worker/pretrain/ema_teacher.h"

namespace g2ll::golden {
namespace {

const std::string kLastLayer = "head.last_layer.weight_v";

struct Student {
  model::VitOptions vit;
  model::ProjectionHeadOptions head_options;
  model::VitEncoder encoder;
  model::ProjectionHead head;
  model::MaeDecoder decoder{model::MaeDecoderOptions{}};
  StepRecord record;

  Student(const GoldenCase& golden, bool learned_pos, bool with_encoder, bool with_decoder)
      : vit{.learned_pos = learned_pos},
        head_options{.out = golden.config().at("out_dim")},
        encoder(vit),
        head(head_options) {
    FillModule(*encoder, golden.salt());
    FillModule(*head, golden.salt(), "head.");
    FillModule(*decoder, golden.salt());
    if (with_encoder) record.Add(*encoder);
    record.Add(*head, "head.");
    if (with_decoder) record.Add(*decoder);
  }

  pretrain::EmaTeacher MakeTeacher() const { return {vit, head_options, encoder, head}; }

  train::AdamW MakeOptimizer(const nlohmann::json& config) const {
    return {record.parameters(), {config.at("betas")[0], config.at("betas")[1], config.at("eps")}};
  }
};

// A setting that is one number or one number per step.
double AtStep(const nlohmann::json& value, size_t step) {
  return value.is_array() ? value.at(step).get<double>() : value.get<double>();
}

std::vector<std::string> Frozen(const nlohmann::json& config, int step) {
  for (const auto& frozen : config.at("frozen_last_layer_steps")) {
    if (frozen == step) return {kLastLayer};
  }
  return {};
}

loss::Pairs PairsOf(const std::string& name) {
  if (name == "same") return loss::Pairs::kSame;
  if (name == "cross") return loss::Pairs::kCross;
  return loss::Pairs::kAll;
}

torch::Tensor EveryNth(const torch::Tensor& logits, int64_t step) {
  return logits.slice(-1, 0, c10::nullopt, step);
}

// clip, freeze, AdamW, EMA, center: what every step ends with.
void FinishStep(GoldenCase& golden, int step, Student& student, train::AdamW& optimizer,
                pretrain::EmaTeacher& teacher, pretrain::Center& center,
                const torch::Tensor& teacher_logits) {
  const auto& config = golden.config();
  const std::string name = "step" + std::to_string(step);
  const auto index = static_cast<size_t>(step);
  student.record.CheckGradients(golden, name);
  train::ClipGradients(student.record.parameters(), config.at("clip_per_tensor"));
  optimizer.Step(AtStep(config.at("lr"), index), AtStep(config.at("wd"), index),
                 Frozen(config, step));
  teacher.Update(AtStep(config.at("ema"), index));
  dist::LocalCollective local;
  center.Accumulate(teacher_logits);
  center.Update(local, teacher_logits.size(0));
  student.record.CheckUpdate(golden, name);
}

torch::Tensor TeacherLogits(pretrain::EmaTeacher& teacher, const torch::Tensor& views) {
  const auto [tokens, attention] = teacher.Tokens(views, /*needs_attention=*/false);
  return teacher.LogitsOf(tokens.select(1, 0));
}

void CheckTeacher(GoldenCase& golden, const std::string& step,
                  const pretrain::EmaTeacher& teacher) {
  const auto head = teacher.head()->named_parameters();
  const auto encoder = teacher.encoder()->named_parameters();
  golden.CheckRows(step + ".teacher", [&](const std::string& name) {
    return name.starts_with("head.") ? head[name.substr(5)] : encoder[name];
  });
}

torch::Tensor Views(GoldenCase& golden) {
  const auto& config = golden.config();
  const int64_t batch = config.at("batch");
  std::vector<torch::Tensor> views;
  for (const auto& key : config.at("inputs")) {
    views.push_back(Images(golden.Key(key.get<std::string>()), batch));
  }
  return torch::cat(views);
}

}  // namespace

void CheckHead(GoldenCase& golden) {
  const auto& config = golden.config();
  Student student(golden, false, /*with_encoder=*/false, /*with_decoder=*/false);
  pretrain::EmaTeacher teacher = student.MakeTeacher();
  train::AdamW optimizer = student.MakeOptimizer(config);
  const int64_t rows = config.at("rows_of_features");
  const int64_t outputs = config.at("out_dim");
  pretrain::Center center(outputs, config.at("centre_momentum"), Device());
  center.value().copy_(Fill(golden.Key("head/centre"), {1, outputs}, 0.02));
  torch::Tensor student_logits;
  torch::Tensor teacher_logits;
  for (int step = 0; step < 3; ++step) {
    const std::string index = std::to_string(step);
    const std::string name = "step" + index;
    student_logits =
        student.head->forward(Fill(golden.Key("head/student" + index), {rows, 384}, 1.0));
    {
      torch::NoGradGuard no_grad;
      teacher_logits =
          teacher.head()->forward(Fill(golden.Key("head/teacher" + index), {rows, 384}, 1.0));
    }
    golden.Check(name + ".student_logits", EveryNth(student_logits, 32));
    golden.Check(name + ".teacher_logits", EveryNth(teacher_logits, 32));
    for (const char* pairs : {"same", "cross", "all"}) {
      const torch::Tensor loss = loss::DistillationLoss(
          student_logits, teacher_logits, center.value(),
          {config.at("student_temp"), config.at("teacher_temp"), PairsOf(pairs)});
      golden.Check(name + ".loss_" + pairs, loss);
      if (pairs == config.at("pairs_trained")) {
        student.record.ZeroGradients();
        loss.backward({}, /*retain_graph=*/true);
      }
    }
    FinishStep(golden, step, student, optimizer, teacher, center, teacher_logits);
    golden.Check(name + ".centre", EveryNth(center.value()[0], 4));
    CheckTeacher(golden, name, teacher);
  }
  golden.Check("warm_temp_loss",
               loss::DistillationLoss(student_logits, teacher_logits, center.value(),
                                      {config.at("student_temp"), 0.055, loss::Pairs::kCross}));
}

void CheckG2ll(GoldenCase& golden) {
  const auto& config = golden.config();
  Student student(golden, false, /*with_encoder=*/true, /*with_decoder=*/true);
  pretrain::EmaTeacher teacher = student.MakeTeacher();
  train::AdamW optimizer = student.MakeOptimizer(config);
  pretrain::Center center(config.at("out_dim"), 0.9, Device());
  const torch::Tensor views = Views(golden);
  golden.Input("labels");
  golden.Input("mask");
  for (int step = 0; step < 3; ++step) {
    const std::string name = "step" + std::to_string(step);
    const torch::Tensor mask = golden.Input(name + ".mask");
    const torch::Tensor visible = PatchIds(mask, false);
    const torch::Tensor teacher_logits = TeacherLogits(teacher, views);
    const torch::Tensor latent = student.encoder->forward_visible(views, visible);
    const torch::Tensor logits = student.head->forward(latent.select(1, 0));
    const torch::Tensor mse =
        loss::ReconstructionLoss(student.decoder->predict(student.decoder->decode(latent, visible)),
                                 views, PatchIds(mask, true), 16, config.at("norm_pix"));
    const torch::Tensor distill = loss::DistillationLoss(
        logits, teacher_logits, center.value(),
        {config.at("student_temp"), config.at("teacher_temp"), PairsOf(config.at("pairs"))});
    const torch::Tensor total = mse + distill;
    student.record.ZeroGradients();
    total.backward();
    golden.Check(name + ".mse", mse);
    golden.Check(name + ".distill", distill);
    golden.Check(name + ".total", total);
    golden.Check(name + ".teacher_logits", EveryNth(teacher_logits, 64));
    FinishStep(golden, step, student, optimizer, teacher, center, teacher_logits);
    golden.Check(name + ".centre", center.value()[0]);
    CheckTeacher(golden, name, teacher);
  }
}

void CheckDino(GoldenCase& golden) {
  const auto& config = golden.config();
  Student student(golden, /*learned_pos=*/true, /*with_encoder=*/true, /*with_decoder=*/false);
  pretrain::EmaTeacher teacher = student.MakeTeacher();
  train::AdamW optimizer = student.MakeOptimizer(config);
  pretrain::Center center(config.at("out_dim"), 0.9, Device());
  const torch::Tensor views = Views(golden);
  for (int step = 0; step < 2; ++step) {
    const std::string name = "step" + std::to_string(step);
    const torch::Tensor teacher_logits = TeacherLogits(teacher, views);
    const torch::Tensor logits =
        student.head->forward(student.encoder->forward(views).select(1, 0));
    const torch::Tensor loss = loss::DistillationLoss(
        logits, teacher_logits, center.value(),
        {config.at("student_temp"), AtStep(config.at("teacher_temp"), static_cast<size_t>(step)),
         PairsOf(config.at("pairs"))});
    student.record.ZeroGradients();
    loss.backward();
    golden.Check(name + ".loss", loss);
    golden.Check(name + ".student_logits", EveryNth(logits, 64));
    FinishStep(golden, step, student, optimizer, teacher, center, teacher_logits);
    golden.Check(name + ".centre", EveryNth(center.value()[0], 4));
  }
}

}  // namespace g2ll::golden
