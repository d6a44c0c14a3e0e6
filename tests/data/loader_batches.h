#ifndef TESTS_DATA_LOADER_BATCHES_H_
#define TESTS_DATA_LOADER_BATCHES_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "worker/data/dataset.h"
#include "worker/data/sampler.h"

namespace g2ll::data::test {

// The `count` batches that a new Loader gives from step `first` on.
template <typename Loader, typename Options>
auto BatchesOf(const Dataset& set, const ShardSampler& sampler, const Options& options,
               int64_t first, int count) {
  auto loader = Loader::Create(set, sampler, options, first);
  EXPECT_TRUE(loader.ok()) << loader.status();
  using Batch = typename decltype((*loader)->Next())::value_type;
  std::vector<Batch> batches;
  for (int i = 0; i < count; ++i) {
    auto batch = (*loader)->Next();
    EXPECT_TRUE(batch.ok()) << batch.status();
    batches.push_back(*std::move(batch));
  }
  return batches;
}

}  // namespace g2ll::data::test

#endif  // TESTS_DATA_LOADER_BATCHES_H_
