#include "worker/data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/data/loader_batches.h"
#include "tests/data/test_files.h"

namespace g2ll::data {
namespace {

using test::BatchesOf;
using ::testing::HasSubstr;

std::unique_ptr<Dataset> OpenSet(const std::string& source, bool needs_masks) {
  DatasetOptions options;
  options.source = source;
  options.needs_masks = needs_masks;
  return *Dataset::Open(options);
}

std::unique_ptr<Dataset> Synthetic(bool needs_masks = false) {
  return OpenSet("synthetic:dermoscopy?count=20&seed=3&size=64", needs_masks);
}

PretrainLoaderOptions SmallOptions() {
  PretrainLoaderOptions options;
  options.input = {64, 8, kImagenetScale};
  options.seed = 11;
  return options;
}

void ExpectEqual(const PretrainBatch& a, const PretrainBatch& b) {
  EXPECT_TRUE(torch::equal(a.views, b.views));
  EXPECT_TRUE(torch::equal(a.visible_ids, b.visible_ids));
  EXPECT_TRUE(torch::equal(a.masked_ids, b.masked_ids));
}

std::map<std::string, std::filesystem::file_time_type> TimesOfFiles(const std::string& folder) {
  std::map<std::string, std::filesystem::file_time_type> times;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) times[entry.path().string()] = entry.last_write_time();
  }
  return times;
}

TEST(PretrainLoaderTest, BatchesHaveTheStatedShapesAndPartitionThePatches) {
  const auto set = Synthetic();
  const ShardSampler sampler({set->size(), 6, 1, 0, 1});
  const PretrainBatch batch = BatchesOf<PretrainLoader>(*set, sampler, SmallOptions(), 0, 1)[0];

  EXPECT_EQ(batch.num_images, 6);
  EXPECT_EQ(batch.views.sizes(), (std::vector<int64_t>{12, 3, 64, 64}));
  EXPECT_EQ(batch.visible_ids.sizes(), (std::vector<int64_t>{12, 48}));
  EXPECT_EQ(batch.masked_ids.sizes(), (std::vector<int64_t>{12, 16}));
  const torch::Tensor together =
      std::get<0>(torch::sort(torch::cat({batch.visible_ids, batch.masked_ids}, 1), 1));
  EXPECT_TRUE(torch::equal(together, torch::arange(64).expand({12, 64})));
  // Ascending, and the two views are drawn apart.
  EXPECT_TRUE((batch.masked_ids.diff(1, 1) > 0).all().item<bool>());
  EXPECT_FALSE(torch::equal(batch.masked_ids.slice(0, 0, 6), batch.masked_ids.slice(0, 6, 12)));
  EXPECT_FALSE(torch::equal(batch.views.slice(0, 0, 6), batch.views.slice(0, 6, 12)));
  // ImageNet's normalisation: black is about -2.1, white about 2.6.
  EXPECT_GE(batch.views.min().item<float>(), -2.12F);
  EXPECT_LE(batch.views.max().item<float>(), 2.65F);
}

TEST(PretrainLoaderTest, BatchesDoNotDependOnThreadsPrefetchOrTheFirstStep) {
  const auto set = Synthetic();
  const ShardSampler sampler({set->size(), 6, 1, 0, 1});
  PretrainLoaderOptions options = SmallOptions();
  options.augmentation.crop_min_scale = 0.4;
  const std::vector<PretrainBatch> alone = BatchesOf<PretrainLoader>(*set, sampler, options, 0, 7);

  options.threads = 4;
  options.prefetch = 3;
  const std::vector<PretrainBatch> many = BatchesOf<PretrainLoader>(*set, sampler, options, 0, 7);
  for (size_t i = 0; i < alone.size(); ++i) ExpectEqual(alone[i], many[i]);

  const std::vector<PretrainBatch> resumed =
      BatchesOf<PretrainLoader>(*set, sampler, options, 5, 2);
  ExpectEqual(alone[5], resumed[0]);
  ExpectEqual(alone[6], resumed[1]);
}

TEST(PretrainLoaderTest, RanksTogetherSeeTheOneRankBatch) {
  const auto set = Synthetic();
  const PretrainLoaderOptions options = SmallOptions();
  const PretrainBatch whole =
      BatchesOf<PretrainLoader>(*set, ShardSampler({20, 4, 1, 0, 1}), options, 2, 1)[0];
  for (int rank : {0, 1}) {
    const PretrainBatch share =
        BatchesOf<PretrainLoader>(*set, ShardSampler({20, 4, 1, rank, 2}), options, 2, 1)[0];
    for (int view : {0, 1}) {
      const int64_t from = view * 4 + rank * 2;
      EXPECT_TRUE(torch::equal(whole.views.slice(0, from, from + 2),
                               share.views.slice(0, view * 2, view * 2 + 2)));
      EXPECT_TRUE(torch::equal(whole.masked_ids.slice(0, from, from + 2),
                               share.masked_ids.slice(0, view * 2, view * 2 + 2)));
    }
  }
}

TEST(PretrainLoaderTest, TheCacheOnDiskAndASmallMemoryChangeNothing) {
  const test::TemporaryFolder folder;
  const auto set = Synthetic();
  const ShardSampler sampler({set->size(), 10, 1, 0, 1});
  PretrainLoaderOptions options = SmallOptions();
  const std::vector<PretrainBatch> plain = BatchesOf<PretrainLoader>(*set, sampler, options, 0, 4);
  options.cache_dir = folder / "superpixels";
  options.memory_cache_bytes = 0;
  std::map<std::string, std::filesystem::file_time_type> written;
  for (int round = 0; round < 2; ++round) {
    const std::vector<PretrainBatch> cached =
        BatchesOf<PretrainLoader>(*set, sampler, options, 0, 4);
    for (size_t i = 0; i < plain.size(); ++i) ExpectEqual(plain[i], cached[i]);
    if (round == 0) written = TimesOfFiles(options.cache_dir);
  }
  // What is found on disk is not written again.
  EXPECT_EQ(written.size(), static_cast<size_t>(set->size()));
  EXPECT_EQ(TimesOfFiles(options.cache_dir), written);
}

TEST(PretrainLoaderTest, MasksOneViewWithTheMaeSettings) {
  const auto set = Synthetic();
  PretrainLoaderOptions options = SmallOptions();
  options.num_views = 1;
  options.mask.kind = mask::MaskKind::kRandom;
  options.mask.gamma = 0.75;
  options.augmentation.crop_min_scale = 0.2;
  const PretrainBatch batch =
      BatchesOf<PretrainLoader>(*set, ShardSampler({20, 5, 1, 0, 1}), options, 0, 1)[0];
  EXPECT_EQ(batch.views.size(0), 5);
  EXPECT_EQ(batch.visible_ids.size(1), 16);
}

TEST(PretrainLoaderTest, AnUnreadableImageIsNamedAtItsStepAndNotBefore) {
  const test::TemporaryFolder folder;
  for (int i = 0; i < 8; ++i) {
    test::WriteJpeg(folder / ("p" + std::to_string(i) + ".jpg"), test::VariedImage(64, i));
  }
  const std::string bytes = test::ReadBytes(folder / "p5.jpg");
  test::WriteBytes(folder / "p5.jpg", bytes.substr(0, bytes.size() / 2));
  const auto set = OpenSet(folder.path(), false);
  const ShardSampler sampler({8, 2, 1, 0, 1});
  PretrainLoaderOptions options = SmallOptions();
  options.threads = 2;
  options.prefetch = 4;
  auto loader = *PretrainLoader::Create(*set, sampler, options, 0);
  for (int64_t step = 0; step < 4; ++step) {
    const std::vector<int64_t> indices = sampler.Indices(step);
    const bool is_damaged = std::find(indices.begin(), indices.end(), 5) != indices.end();
    const auto batch = loader->Next();
    EXPECT_EQ(batch.ok(), !is_damaged);
    if (!batch.ok()) {
      EXPECT_EQ(batch.status().code(), absl::StatusCode::kDataLoss);
      EXPECT_THAT(std::string(batch.status().message()), HasSubstr(folder / "p5.jpg"));
    }
  }
}

TEST(PretrainLoaderTest, RefusesOptionsThatDoNotFit) {
  const auto set = Synthetic();
  const ShardSampler sampler({20, 5, 1, 0, 1});
  PretrainLoaderOptions options = SmallOptions();
  options.input.image_size = 60;
  EXPECT_THAT(std::string(PretrainLoader::Create(*set, sampler, options, 0).status().message()),
              HasSubstr("model.imageSize is 60: it must be a multiple of model.patch, 8, for "
                        "example 56 or 64"));
  options.input.image_size = 5;
  EXPECT_THAT(std::string(PretrainLoader::Create(*set, sampler, options, 0).status().message()),
              HasSubstr("for example 8"));
  options = SmallOptions();
  options.mask.regions = 65;
  EXPECT_THAT(std::string(PretrainLoader::Create(*set, sampler, options, 0).status().message()),
              HasSubstr("mask.regions"));
  options = SmallOptions();
  options.augmentation.crop_min_scale = 0;
  EXPECT_FALSE(PretrainLoader::Create(*set, sampler, options, 0).ok());
}

TEST(PretrainLoaderTest, EndsWhileBatchesAreStillBeingMade) {
  const auto set = Synthetic();
  const ShardSampler sampler({20, 5, 1, 0, 1});
  PretrainLoaderOptions options = SmallOptions();
  options.threads = 3;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(PretrainLoader::Create(*set, sampler, options, 0).ok());
}

TEST(SegmentationLoaderTest, AugmentedBatchesRepeatAndKeepImageAndMaskTogether) {
  const auto set = Synthetic(true);
  const ShardSampler sampler({set->size(), 8, 1, 0, 1});
  SegmentationLoaderOptions options;
  options.input = {64, 8, kUnitScale};
  options.augmentation.emplace();
  options.threads = 3;
  auto first = *SegmentationLoader::Create(*set, sampler, options, 0);
  options.threads = 1;
  auto second = *SegmentationLoader::Create(*set, sampler, options, 0);
  for (int step = 0; step < 4; ++step) {
    const SegmentationBatch a = *first->Next();
    const SegmentationBatch b = *second->Next();
    EXPECT_TRUE(torch::equal(a.images, b.images));
    EXPECT_TRUE(torch::equal(a.masks, b.masks));
    EXPECT_EQ(a.indices, sampler.Indices(step));
    EXPECT_EQ(a.masks.sizes(), (std::vector<int64_t>{8, 1, 64, 64}));
    EXPECT_TRUE(((a.masks == 0) | (a.masks == 1)).all().item<bool>());
    // The lesion under the mask is darker than the skin around it.
    const torch::Tensor gray = a.images.mean(1, true);
    const float lesion = ((gray * a.masks).sum() / a.masks.sum()).item<float>();
    const float skin = ((gray * (1 - a.masks)).sum() / (1 - a.masks).sum()).item<float>();
    EXPECT_LT(lesion, skin);
  }
}

TEST(SegmentationLoaderTest, ValidationBatchesAreThePlainResizedImages) {
  const auto set = Synthetic(true);
  const InputOptions input{32, 8, kUnitScale};
  const SegmentationBatch batch = *LoadSegmentationBatch(*set, {3, 0}, input);
  EXPECT_EQ(batch.images.sizes(), (std::vector<int64_t>{2, 3, 32, 32}));
  EXPECT_EQ(batch.indices, (std::vector<int64_t>{3, 0}));
  const Image image = ResizeImage(*set->LoadImage(3), 32, 32);
  EXPECT_FLOAT_EQ(batch.images[0][1][5][7].item<float>(),
                  static_cast<float>(image.pixels[(5 * 32 + 7) * 3 + 1]) / 255.0F);
  const LesionMask mask = ResizeMask(*set->LoadMask(3), 32, 32);
  EXPECT_EQ(batch.masks[0].sum().item<float>(),
            static_cast<float>(std::count(mask.pixels.begin(), mask.pixels.end(), 255)));
}

TEST(SegmentationLoaderTest, MasksAtTheirOwnSizeComeWithABatchOfAnyNumberOfThreads) {
  const auto set = Synthetic(true);
  const InputOptions input{32, 8, kUnitScale};
  const std::vector<int64_t> indices = {4, 1, 7, 2, 9};
  const SegmentationBatch alone = *LoadSegmentationBatch(*set, indices, input);
  std::vector<LesionMask> native;
  const SegmentationBatch batch = *LoadSegmentationBatch(*set, indices, input, 3, &native);
  EXPECT_TRUE(torch::equal(batch.images, alone.images));
  EXPECT_TRUE(torch::equal(batch.masks, alone.masks));
  ASSERT_EQ(native.size(), indices.size());
  for (size_t i = 0; i < native.size(); ++i) {
    EXPECT_EQ(native[i].pixels, set->LoadMask(indices[i])->pixels);
  }
}

}  // namespace
}  // namespace g2ll::data
