#ifndef TESTS_TRAIN_RESUMED_RUN_H_
#define TESTS_TRAIN_RESUMED_RUN_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/train/fakes.h"
#include "worker/dist/collective.h"
#include "worker/train/train_task.h"

namespace g2ll::test {

// Makes a task of six updates on these batches.
using MakeTask =
    std::function<std::unique_ptr<train::TrainTask>(const FakeBatches&, dist::Collective&)>;

// Expects that six updates leave the same bits in these files of the last checkpoint
// (without `.safetensors`), and count the same images, whether they are made in one run or
// in one that goes on from the checkpoint of the third.
void ExpectAResumedRunIsTheWhole(const MakeTask& make_task, const std::vector<std::string>& files);

}  // namespace g2ll::test

#endif  // TESTS_TRAIN_RESUMED_RUN_H_
