// How fast a training step of the recipe smoke is on this machine:
//   train_speed pretrain|finetune RANKS STEPS
// Each rank is a process with one thread. Prints what rank 0 measured.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/train/assignments.h"
#include "tests/train/fakes.h"
#include "tests/train/gang.h"
#include "worker/job/run_job.h"

namespace g2ll {
namespace {

int Main(const std::string& kind, int ranks, int64_t steps) {
  test::TempDirectory storage;
  const auto results = test::RunProcesses(ranks, [&](int rank, int port) {
    trainer::v1::Assignment job = kind == "finetune" ? test::SmokeFinetune(storage.path(), 16)
                                                     : test::SmokePretrain(storage.path(), 32);
    v1::JobSpec& spec = *job.mutable_spec();
    if (kind == "finetune") {
      spec.mutable_finetune()->mutable_train()->set_max_steps(steps);
    } else {
      spec.mutable_pretrain()->mutable_train()->set_max_steps(steps);
    }
    test::PlaceRank(job, rank, ranks, port);
    test::Recorder recorder;
    const absl::Status status = job::RunJob(job, recorder, {});
    if (!status.ok()) return std::string(status.message());
    std::string text;
    for (const std::string name : {"loss", "images_per_second", "val/dice"}) {
      const auto values = recorder.Values(name);
      if (!values.empty()) {
        text += name + ": " + std::to_string(values.front()) + " -> " +
                std::to_string(values.back()) + "\n";
      }
    }
    return text;
  });
  for (const test::RankResult& rank : results) std::fputs(rank.output.c_str(), stdout);
  return 0;
}

}  // namespace
}  // namespace g2ll

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: train_speed pretrain|finetune RANKS STEPS\n", stderr);
    return 2;
  }
  return g2ll::Main(argv[1], std::atoi(argv[2]), std::atoll(argv[3]));
}
