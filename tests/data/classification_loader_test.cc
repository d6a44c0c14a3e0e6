#include "worker/data/classification_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/data/loader_batches.h"

namespace g2ll::data {
namespace {

using test::BatchesOf;
using ::testing::HasSubstr;

std::unique_ptr<Dataset> OpenSet(bool needs_classes = true) {
  DatasetOptions options;
  options.source = "synthetic:dermoscopy?count=20&seed=3&size=64";
  options.needs_classes = needs_classes;
  return *Dataset::Open(options);
}

ClassificationLoaderOptions SmallOptions() {
  ClassificationLoaderOptions options;
  options.input = {64, 8, kImagenetScale};
  options.augmentation.crop_min_scale = 0.4;
  options.seed = 11;
  return options;
}

TEST(ClassificationLoaderTest, BatchesHoldPixelsAndTheClassesOfTheirImages) {
  const auto set = OpenSet();
  const ShardSampler sampler({set->size(), 6, 1, 0, 1});
  const ClassificationBatch batch =
      BatchesOf<ClassificationLoader>(*set, sampler, SmallOptions(), 4, 1)[0];

  EXPECT_EQ(batch.images.sizes(), (std::vector<int64_t>{6, 3, 64, 64}));
  EXPECT_EQ(batch.indices, sampler.Indices(4));
  EXPECT_EQ(batch.epoch, 1);
  std::vector<int64_t> counts(8, 0);
  for (int64_t i = 0; i < 6; ++i) {
    const int64_t number = batch.classes[i].item<int64_t>();
    EXPECT_EQ(number, set->classes().of_image[static_cast<size_t>(batch.indices[i])]);
    ++counts[static_cast<size_t>(number)];
  }
  EXPECT_EQ(batch.global_class_counts, counts);
}

TEST(ClassificationLoaderTest, BatchesDoNotDependOnThreadsPrefetchOrTheFirstStep) {
  const auto set = OpenSet();
  const ShardSampler sampler({set->size(), 6, 1, 0, 1});
  ClassificationLoaderOptions options = SmallOptions();
  const auto expected = BatchesOf<ClassificationLoader>(*set, sampler, options, 0, 5);
  options.threads = 3;
  options.prefetch = 4;
  options.memory_cache_bytes = 0;
  const auto actual = BatchesOf<ClassificationLoader>(*set, sampler, options, 2, 3);

  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_TRUE(torch::equal(actual[i].images, expected[i + 2].images)) << i;
    EXPECT_EQ(actual[i].indices, expected[i + 2].indices);
  }
}

TEST(ClassificationLoaderTest, RanksShareTheBatchAndKnowTheClassesOfAllOfIt) {
  const auto set = OpenSet();
  const ClassificationBatch whole = BatchesOf<ClassificationLoader>(
      *set, ShardSampler({set->size(), 6, 1, 0, 1}), SmallOptions(), 0, 1)[0];
  std::vector<torch::Tensor> images, classes;
  for (const int rank : {0, 1}) {
    const ShardSampler sampler({set->size(), 6, 1, rank, 2});
    const ClassificationBatch share =
        BatchesOf<ClassificationLoader>(*set, sampler, SmallOptions(), 0, 1)[0];
    images.push_back(share.images);
    classes.push_back(share.classes);
    EXPECT_EQ(share.global_class_counts, whole.global_class_counts);
  }
  EXPECT_TRUE(torch::equal(torch::cat(images), whole.images));
  EXPECT_TRUE(torch::equal(torch::cat(classes), whole.classes));
}

TEST(ClassificationLoaderTest, ValidationImagesAreReadWithoutRandomChange) {
  const auto set = OpenSet();
  const InputOptions input = SmallOptions().input;
  const auto first = LoadClassificationBatch(*set, {3, 7}, input);
  const auto second = LoadClassificationBatch(*set, {7}, input);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE(torch::equal(first->images[1], second->images[0]));
  EXPECT_EQ(first->classes[0].item<int64_t>(), set->classes().of_image[3]);
}

TEST(ClassificationLoaderTest, RefusesADataSetWithoutClasses) {
  const auto set = OpenSet(/*needs_classes=*/false);
  const ShardSampler sampler({set->size(), 6, 1, 0, 1});
  const auto loader = ClassificationLoader::Create(*set, sampler, SmallOptions(), 0);
  ASSERT_FALSE(loader.ok());
  EXPECT_THAT(std::string(loader.status().message()), HasSubstr("diagnoses"));
}

}  // namespace
}  // namespace g2ll::data
