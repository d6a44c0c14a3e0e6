#ifndef TESTS_TRAIN_FAKE_CLASSIFICATION_H_
#define TESTS_TRAIN_FAKE_CLASSIFICATION_H_

#include <cstdint>
#include <memory>

#include "tests/train/fakes.h"
#include "worker/data/classification_loader.h"
#include "worker/pretrain/classification_task.h"

namespace g2ll::test {

// DiscImages with three classes of unequal frequency.
std::unique_ptr<data::ClassificationLoader> FakeClassificationLoader(const FakeBatches& batches);

// A classifier of a few thousand weights on 16-pixel images, with class weights, label
// smoothing and stochastic depth.
pretrain::ClassificationTaskOptions TinyClassificationOptions(int64_t total_steps);

}  // namespace g2ll::test

#endif  // TESTS_TRAIN_FAKE_CLASSIFICATION_H_
