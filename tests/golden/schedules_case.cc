// schedules: learning rates, decay, momentum, temperature, and which parameters
// they act on.
#include <torch/torch.h>

#include <functional>

#include "tests/golden/cases.h"
#include "tests/golden/models.h"
#include "worker/model/mae_decoder.h"
#include "worker/model/projection_head.h"
#include "worker/model/vit_encoder.h"
#include "worker/schedule/layer_decay.h"
#include "worker/schedule/schedule.h"

namespace g2ll::golden {
namespace {

using Schedule = std::function<double(int64_t)>;

// [N] float64: the schedule at each of the integers.
torch::Tensor At(const torch::Tensor& steps, const Schedule& schedule) {
  std::vector<double> values;
  for (int64_t i = 0; i < steps.numel(); ++i) values.push_back(schedule(steps[i].item<int64_t>()));
  return torch::tensor(values, torch::kFloat64);
}

template <typename Value>
Schedule Reader(Value schedule) {
  return [schedule](int64_t step) { return schedule.At(step); };
}

void CheckPretraining(GoldenCase& golden) {
  const auto& config = golden.config();
  const int64_t total = config.at("total");
  const int64_t warmup =
      config.at("warmup").get<int64_t>() * config.at("iterations_per_epoch").get<int64_t>();
  const torch::Tensor steps = golden.Input("steps");
  schedule::CosineWithWarmup rate{config.at("base_lr"), config.at("min_lr"), warmup, total};
  golden.Check("lr", At(steps, Reader(rate)));
  rate.min = 1e-6;
  golden.Check("lr_floor", At(steps, Reader(rate)));
  golden.Check(
      "wd",
      At(steps, Reader(schedule::CosineBetween{config.at("wd")[0], config.at("wd")[1], total})));
  const torch::Tensor momentum =
      At(steps, Reader(schedule::CosineBetween{config.at("ema_start"), 1, total}));
  golden.Check("ema", momentum);
  golden.Check("one_minus_ema", 1 - momentum);
  const schedule::TeacherTemperature temperature{
      config.at("teacher_temp")[0], config.at("teacher_temp")[1], config.at("warm_epochs")};
  golden.Check("teacher_temp", At(golden.Input("temp_epochs"), Reader(temperature)));
}

void CheckFineTuning(GoldenCase& golden) {
  const auto& config = golden.config();
  const double rate = config.at("seg_lr");
  const schedule::CosineWithWarmup cosine{rate, 0, 0, config.at("seg_total")};
  golden.Check("seg_lr", At(golden.Input("seg_steps"), Reader(cosine)));
  golden.Check("seg_lr_T20",
               At(torch::arange(45), Reader(schedule::OscillatingCosine{rate, 0, 20})));
}

void CheckParameterGroups(GoldenCase& golden) {
  std::vector<double> factors;
  for (const std::string& name : golden.Rows("layer_decay")) {
    factors.push_back(schedule::LayerDecayFactor(name, 12, 0.75));
  }
  golden.Check("layer_decay", torch::tensor(factors, torch::kFloat64));

  model::VitEncoder encoder(model::VitOptions{.learned_pos = true});
  model::MaeDecoder decoder{model::MaeDecoderOptions{}};
  model::ProjectionHead head(model::ProjectionHeadOptions{.out = 64});
  StepRecord record;
  record.Add(*encoder);
  record.Add(*decoder);
  record.Add(*head, "head.");
  std::vector<double> decays;
  for (const std::string& name : golden.Rows("decays")) {
    decays.push_back(train::HasWeightDecay({name, record.Parameter(name)}) ? 1 : 0);
  }
  golden.Check("decays", torch::tensor(decays, torch::kFloat64));
}

}  // namespace

void CheckSchedules(GoldenCase& golden) {
  CheckPretraining(golden);
  CheckFineTuning(golden);
  CheckParameterGroups(golden);
}

}  // namespace g2ll::golden
