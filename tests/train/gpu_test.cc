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

// One rank of two updates on `device`; gives the last `loss`, or what went wrong.
std::string LossOf(const std::string& storage, const std::string& device, int port) {
  trainer::v1::Assignment assignment = test::SmokePretrain(storage);
  assignment.set_device(device);
  assignment.mutable_spec()->mutable_pretrain()->mutable_train()->set_max_steps(2);
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

// NCCL at world size 1: one GPU cannot hold two of its ranks.
TEST_F(GpuTest, AJobOnOneGpuLosesAsMuchAsOnTheCpu) {
  TempDirectory cpu_storage, gpu_storage;
  const std::string cpu =
      InOwnProcess([&](int port) { return LossOf(cpu_storage.path(), "cpu", port); });
  const std::string gpu =
      InOwnProcess([&](int port) { return LossOf(gpu_storage.path(), "cuda", port); });

  double cpu_loss = 0, gpu_loss = 0;
  ASSERT_TRUE(absl::SimpleAtod(cpu, &cpu_loss)) << cpu;
  ASSERT_TRUE(absl::SimpleAtod(gpu, &gpu_loss)) << gpu;
  EXPECT_NEAR(gpu_loss, cpu_loss, 2e-2);
}

}  // namespace
}  // namespace g2ll::job
