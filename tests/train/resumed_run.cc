#include "tests/train/resumed_run.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "worker/checkpoint/tensor_file.h"

namespace g2ll::test {

void ExpectAResumedRunIsTheWhole(const MakeTask& make_task, const std::vector<std::string>& files) {
  dist::LocalCollective alone;
  Recorder recorder;
  const TempDirectory storage;
  const auto images_of = [&](LoopRun run) {
    FakeBatches batches;
    batches.first_step = run.first_step;
    const auto task = make_task(batches, alone);
    run.storage = storage.path();
    const absl::Status status = RunLoop(*task, alone, recorder, run);
    EXPECT_TRUE(status.ok()) << status;
    return run.history.runs.back().images;
  };
  EXPECT_EQ(images_of({.last_step = 6, .parent = "whole"}), 48);
  images_of({.last_step = 3, .parent = "first"});
  EXPECT_EQ(images_of({.first_step = 3,
                       .last_step = 6,
                       .resume = storage.path() + "/first/s3",
                       .parent = "second"}),
            48);

  for (const std::string& file : files) {
    const std::string name = "/s6/" + file + ".safetensors";
    const auto expected = checkpoint::LoadTensors(storage.path() + "/whole" + name);
    const auto actual = checkpoint::LoadTensors(storage.path() + "/second" + name);
    ASSERT_TRUE(expected.ok() && actual.ok()) << expected.status() << actual.status();
    ASSERT_EQ(expected->size(), actual->size()) << file;
    for (const auto& [tensor, value] : *expected) {
      EXPECT_TRUE(torch::equal(value, actual->at(tensor))) << file << " " << tensor;
    }
  }
}

}  // namespace g2ll::test
