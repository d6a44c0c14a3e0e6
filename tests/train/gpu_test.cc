#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "absl/strings/numbers.h"
#include "tests/train/assignments.h"
#include "tests/train/fakes.h"
#include "tests/train/gang.h"
#include "worker/dist/cuda_backend.h"
#include "worker/job/outcome.h"
#include "worker/job/run_job.h"

namespace g2ll::job {
namespace {

using test::Recorder;
using test::TempDirectory;

// Every body below runs in a process of its own: CUDA must be loaded before the
// first tensor, and NCCL does not survive a fork.
std::string OnGpuOrWhyNot() {
  const absl::Status status = dist::LoadCudaBackend(/*device_index=*/0);
  return status.ok() ? "" : std::string(status.message());
}

v1::TrainSpec& TrainOf(v1::JobSpec& spec) {
  return spec.has_pretrain() ? *spec.mutable_pretrain()->mutable_train()
                             : *spec.mutable_finetune()->mutable_train();
}

v1::OptimSpec& OptimOf(v1::JobSpec& spec) {
  return spec.has_pretrain() ? *spec.mutable_pretrain()->mutable_optim()
                             : *spec.mutable_finetune()->mutable_optim();
}

// One rank of `steps` updates of a job; gives the last `loss`, or what went wrong.
std::string LossOf(trainer::v1::Assignment assignment, const std::string& device,
                   v1::TrainSpec::Precision precision, int64_t steps, int port) {
  assignment.set_device(device);
  TrainOf(*assignment.mutable_spec()).set_max_steps(steps);
  TrainOf(*assignment.mutable_spec()).set_precision(precision);
  // The first updates of a warm-up would leave the weights as they are.
  OptimOf(*assignment.mutable_spec()).set_warmup(0);
  OptimOf(*assignment.mutable_spec()).set_warmup_share(0);
  test::PlaceRank(assignment, /*rank=*/0, /*world_size=*/1, port);
  Recorder recorder;
  const absl::Status status = RunJob(assignment, recorder, {});
  if (!status.ok()) return std::string(status.message());
  double loss = NAN;
  for (const auto& sample : recorder.metrics) {
    if (sample.name == "loss") loss = sample.value;
  }
  return std::to_string(loss);
}

std::string InOwnProcess(const std::function<std::string(int port)>& body) {
  return test::RunProcesses(1, [&](int, int port) { return body(port); })[0].output;
}

class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = InOwnProcess([](int) { return OnGpuOrWhyNot(); });
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
};

using MakeJob = trainer::v1::Assignment (*)(const std::string& storage_root);

template <v1::PretrainSpec::Method kMethod>
trainer::v1::Assignment Pretrain(const std::string& storage_root) {
  return test::SmokePretrain(storage_root, /*batch=*/8, kMethod);
}

trainer::v1::Assignment PatchDistillation(const std::string& storage_root) {
  trainer::v1::Assignment job = Pretrain<v1::PretrainSpec::G2LL>(storage_root);
  job.mutable_spec()->mutable_pretrain()->mutable_ibot()->set_lambda(1);
  return job;
}

trainer::v1::Assignment AttentionMasksAndSinkhorn(const std::string& storage_root) {
  trainer::v1::Assignment job = Pretrain<v1::PretrainSpec::G2LL>(storage_root);
  v1::PretrainSpec& spec = *job.mutable_spec()->mutable_pretrain();
  spec.mutable_mask()->set_strategy(v1::MaskSpec::ATTMASK);
  spec.mutable_mask()->set_student_input(v1::MaskSpec::MASK_TOKEN_ALL);
  spec.mutable_distill()->set_centering(v1::DistillSpec::SINKHORN);
  return job;
}

trainer::v1::Assignment Finetune(const std::string& storage_root) {
  return test::SmokeFinetune(storage_root);
}

struct Method {
  const char* name;
  MakeJob make;
};

class GpuMethodTest : public GpuTest, public ::testing::WithParamInterface<Method> {
 protected:
  // The loss after so many updates on a device; NAN fails every comparison.
  double Loss(const std::string& device, v1::TrainSpec::Precision precision, int64_t steps) {
    TempDirectory storage;
    const std::string text = InOwnProcess([&](int port) {
      return LossOf(GetParam().make(storage.path()), device, precision, steps, port);
    });
    double loss = NAN;
    EXPECT_TRUE(absl::SimpleAtod(text, &loss)) << text;
    return loss;
  }
};

// NCCL at world size 1: one GPU cannot hold two of its ranks.
TEST_P(GpuMethodTest, AJobOnOneGpuLosesAsMuchAsOnTheCpu) {
  EXPECT_NEAR(Loss("cuda", v1::TrainSpec::FP32, 3), Loss("cpu", v1::TrainSpec::FP32, 3), 2e-2);
}

TEST_P(GpuMethodTest, ThreeUpdatesInBf16AreNearTheCpuInFp32) {
  EXPECT_NEAR(Loss("cuda", v1::TrainSpec::BF16, 3), Loss("cpu", v1::TrainSpec::FP32, 3), 2e-2);
}

INSTANTIATE_TEST_SUITE_P(
    Methods, GpuMethodTest,
    ::testing::Values(Method{"G2ll", &Pretrain<v1::PretrainSpec::G2LL>},
                      Method{"Mae", &Pretrain<v1::PretrainSpec::MAE>},
                      Method{"Dino", &Pretrain<v1::PretrainSpec::DINO>},
                      Method{"Supervised", &Pretrain<v1::PretrainSpec::SUPERVISED>},
                      Method{"PatchDistillation", &PatchDistillation},
                      Method{"AttentionMasksAndSinkhorn", &AttentionMasksAndSinkhorn},
                      Method{"Finetune", &Finetune}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace g2ll::job
