#include "worker/data/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "tests/data/test_files.h"
#include "worker/data/clean_image.h"
#include "worker/data/view_augmentation.h"

namespace g2ll::data {
namespace {

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
  options.input = {64, 8, true};
  options.seed = 11;
  return options;
}

std::vector<PretrainBatch> Batches(const Dataset& set, const ShardSampler& sampler,
                                   const PretrainLoaderOptions& options, int64_t first, int count) {
  auto loader = PretrainLoader::Create(set, sampler, options, first);
  EXPECT_TRUE(loader.ok()) << loader.status();
  std::vector<PretrainBatch> batches;
  for (int i = 0; i < count; ++i) {
    auto batch = (*loader)->Next();
    EXPECT_TRUE(batch.ok()) << batch.status();
    batches.push_back(*std::move(batch));
  }
  return batches;
}

void ExpectEqual(const PretrainBatch& a, const PretrainBatch& b) {
  EXPECT_TRUE(torch::equal(a.views, b.views));
  EXPECT_TRUE(torch::equal(a.visible_ids, b.visible_ids));
  EXPECT_TRUE(torch::equal(a.masked_ids, b.masked_ids));
}

TEST(PretrainLoaderTest, BatchesHaveTheStatedShapesAndPartitionThePatches) {
  const auto set = Synthetic();
  const ShardSampler sampler({set->size(), 6, 1, 0, 1});
  const PretrainBatch batch = Batches(*set, sampler, SmallOptions(), 0, 1)[0];

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
  const std::vector<PretrainBatch> alone = Batches(*set, sampler, options, 0, 7);

  options.threads = 4;
  options.prefetch = 3;
  const std::vector<PretrainBatch> many = Batches(*set, sampler, options, 0, 7);
  for (size_t i = 0; i < alone.size(); ++i) ExpectEqual(alone[i], many[i]);

  const std::vector<PretrainBatch> resumed = Batches(*set, sampler, options, 5, 2);
  ExpectEqual(alone[5], resumed[0]);
  ExpectEqual(alone[6], resumed[1]);
}

TEST(PretrainLoaderTest, RanksTogetherSeeTheOneRankBatch) {
  const auto set = Synthetic();
  const PretrainLoaderOptions options = SmallOptions();
  const PretrainBatch whole = Batches(*set, ShardSampler({20, 4, 1, 0, 1}), options, 2, 1)[0];
  for (int rank : {0, 1}) {
    const PretrainBatch share = Batches(*set, ShardSampler({20, 4, 1, rank, 2}), options, 2, 1)[0];
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
  const std::vector<PretrainBatch> plain = Batches(*set, sampler, options, 0, 4);
  options.cache_dir = folder / "superpixels";
  options.memory_cache_bytes = 0;
  for (int round = 0; round < 2; ++round) {
    const std::vector<PretrainBatch> cached = Batches(*set, sampler, options, 0, 4);
    for (size_t i = 0; i < plain.size(); ++i) ExpectEqual(plain[i], cached[i]);
  }
  EXPECT_FALSE(std::filesystem::is_empty(options.cache_dir));
}

TEST(PretrainLoaderTest, MasksOneViewWithTheMaeSettings) {
  const auto set = Synthetic();
  PretrainLoaderOptions options = SmallOptions();
  options.num_views = 1;
  options.mask.kind = mask::MaskKind::kRandom;
  options.mask.gamma = 0.75;
  options.augmentation.crop_min_scale = 0.2;
  const PretrainBatch batch = Batches(*set, ShardSampler({20, 5, 1, 0, 1}), options, 0, 1)[0];
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
              HasSubstr("model.imageSize"));
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

// A marked image: its left half is dark and its regions are exactly the two halves.
CleanImage Halves() {
  CleanImage clean;
  clean.image = test::PlainImage(64, 64, 220, 220, 220);
  clean.pixel_regions = {64, 64, std::vector<uint16_t>(64 * 64, 1)};
  for (size_t y = 0; y < 64; ++y) {
    for (size_t x = 0; x < 32; ++x) {
      clean.pixel_regions.labels[y * 64 + x] = 0;
      for (size_t c = 0; c < 3; ++c) clean.image.pixels[(y * 64 + x) * 3 + c] = 20;
    }
  }
  clean.regions = *RegionsOfPatches(clean.pixel_regions, 8);
  return clean;
}

TEST(MakeViewTest, RegionsFollowCropsAndFlipsExactly) {
  const CleanImage clean = Halves();
  ViewOptions options;
  options.color_jitter = options.grayscale = options.blur = 0.0;
  options.crop_min_scale = 0.3;
  int flipped = 0;
  for (uint64_t i = 0; i < 60; ++i) {
    random::Rng rng({.seed = i});
    const View view = *MakeView(clean, options, 8, false, rng);
    for (int patch = 0; patch < 64; ++patch) {
      // A patch is region 0 where most of it is dark.
      int dark = 0;
      for (int y = patch / 8 * 8; y < patch / 8 * 8 + 8; ++y) {
        for (int x = patch % 8 * 8; x < patch % 8 * 8 + 8; ++x) {
          dark += view.image.pixels[static_cast<size_t>(y * 64 + x) * 3] < 120 ? 1 : 0;
        }
      }
      EXPECT_EQ(view.regions.patches.labels[static_cast<size_t>(patch)], dark >= 32 ? 0 : 1);
    }
    flipped += view.regions.patches.labels[0] == 1 ? 1 : 0;
  }
  EXPECT_GT(flipped, 10);
  EXPECT_LT(flipped, 50);
}

TEST(MakeViewTest, WithoutAnyChangeTheViewIsTheImage) {
  const CleanImage clean = Halves();
  const ViewOptions none{0, 0, 0, 0, 0, 0, 1.0};
  random::Rng rng({.seed = 1});
  EXPECT_EQ(MakeView(clean, none, 8, false, rng)->image.pixels, clean.image.pixels);
}

TEST(MakeViewTest, PhotometricStepsDoWhatTheySay) {
  Image image = test::PlainImage(4, 4, 200, 100, 50);
  Image gray = image;
  MakeGray(gray);
  EXPECT_EQ(gray.pixels[0], 124);  // .299 * 200 + .587 * 100 + .114 * 50
  EXPECT_EQ(gray.pixels[0], gray.pixels[2]);
  Image dark = image;
  ScaleBrightness(dark, 0.5);
  EXPECT_EQ(dark.pixels[0], 100);
  ScaleBrightness(dark, 10.0);
  EXPECT_EQ(dark.pixels[0], 255);
  Image flat = image;
  ScaleSaturation(flat, 0.0);
  EXPECT_EQ(flat.pixels, gray.pixels);
  Image turned = image;
  ShiftHue(turned, 1.0 / 3.0);
  EXPECT_LT(turned.pixels[0], turned.pixels[1]);
  Image same = image;
  ShiftHue(same, 0.0);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(same.pixels[i], image.pixels[i], 3);
  Blur(image, 1.0);
  EXPECT_EQ(image.pixels[0], 200);
}

TEST(SegmentationLoaderTest, AugmentedBatchesRepeatAndKeepImageAndMaskTogether) {
  const auto set = Synthetic(true);
  const ShardSampler sampler({set->size(), 8, 1, 0, 1});
  SegmentationLoaderOptions options;
  options.input = {64, 8, false};
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
  const InputOptions input{32, 8, false};
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

}  // namespace
}  // namespace g2ll::data
