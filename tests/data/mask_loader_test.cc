// Masks as the loader draws them: from (seed, epoch, sample, view) and, with a
// curriculum, the step, whatever the ranks, threads and first step.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "tests/data/loader_batches.h"
#include "worker/data/loader.h"
#include "worker/data/view_augmentation.h"

namespace g2ll::data {
namespace {

using test::BatchesOf;

constexpr int64_t kImages = 24;
constexpr int64_t kBatch = 8;

std::unique_ptr<Dataset> Synthetic() {
  DatasetOptions options;
  options.source = "synthetic:dermoscopy?count=24&seed=3&size=64";
  return *Dataset::Open(options);
}

// One way to mask, with a name for its test.
struct Choice {
  const char* name;
  void (*set)(PretrainLoaderOptions& options);
};

using Options = PretrainLoaderOptions;
const Choice kChoices[] = {
    {"Random", [](Options& o) { o.mask.kind = mask::MaskKind::kRandom; }},
    {"Semantic", [](Options& o) { o.mask.kind = mask::MaskKind::kSemantic; }},
    {"SemanticFocal", [](Options&) {}},
    {"Block", [](Options& o) { o.mask.kind = mask::MaskKind::kBlock; }},
    {"Attention", [](Options& o) { o.mask.kind = mask::MaskKind::kAttention; }},
    {"Proportional", [](Options& o) { o.mask.allocation = mask::Shares::kProportional; }},
    {"NoBorder", [](Options& o) { o.mask.central = mask::Central::kNoBorder; }},
    {"Window", [](Options& o) { o.mask.central = mask::Central::kWindow; }},
    {"TopK", [](Options& o) { o.mask.central = mask::Central::kTopK; }},
    {"Saliency", [](Options& o) { o.mask.order = mask::CentralOrder::kSaliency; }},
    {"CenterOfTheView",
     [](Options& o) {
       o.mask.center = mask::CenterOf::kView;
       o.augmentation.crop_min_scale = 0.4;
     }},
    {"Shared", [](Options& o) { o.mask.shared = true; }},
    {"SharedBlock",
     [](Options& o) {
       o.mask.kind = mask::MaskKind::kBlock;
       o.mask.shared = true;
     }},
    {"SharedCropped",
     [](Options& o) {
       o.mask.shared = true;
       o.augmentation.crop_min_scale = 0.4;
     }},
    {"IntraToInter", [](Options& o) { o.mask.curriculum = mask::Curriculum::kIntraToInter; }},
    {"RegionsOfTheView", [](Options& o) { o.regions_per_view = true; }},
};

Options OptionsOf(const Choice& choice) {
  Options options;
  options.input.image_size = 64;
  options.input.patch = 8;
  options.seed = 11;
  options.schedule_steps = 9;
  choice.set(options);
  return options;
}

class MaskChoiceTest : public testing::TestWithParam<Choice> {};

// Section 7, mask RNG: the same mask for 1, 2 and 4 ranks and after a resume.
TEST_P(MaskChoiceTest, IsTheSameOnOneTwoAndFourRanksAndAfterAResume) {
  const auto set = Synthetic();
  Options options = OptionsOf(GetParam());
  const std::vector<PretrainBatch> whole =
      BatchesOf<PretrainLoader>(*set, ShardSampler({kImages, kBatch, 1, 0, 1}), options, 0, 5);
  options.threads = 3;
  for (const int num_ranks : {1, 2, 4}) {
    const int64_t share = kBatch / num_ranks;
    for (int rank = 0; rank < num_ranks; ++rank) {
      // Begins in the second epoch.
      const ShardSampler sampler({kImages, kBatch, 1, rank, num_ranks});
      const std::vector<PretrainBatch> part =
          BatchesOf<PretrainLoader>(*set, sampler, options, 3, 2);
      for (const int step : {3, 4}) {
        for (const int view : {0, 1}) {
          const auto rows = [&](const torch::Tensor& tensor) {
            const int64_t from = view * kBatch + rank * share;
            return tensor.slice(0, from, from + share);
          };
          const auto own = [&](const torch::Tensor& tensor) {
            return tensor.slice(0, view * share, (view + 1) * share);
          };
          const PretrainBatch& all = whole[static_cast<size_t>(step)];
          const PretrainBatch& mine = part[static_cast<size_t>(step - 3)];
          EXPECT_TRUE(torch::equal(rows(all.views), own(mine.views)));
          EXPECT_TRUE(torch::equal(rows(all.masked_ids), own(mine.masked_ids)));
          EXPECT_TRUE(torch::equal(rows(all.visible_ids), own(mine.visible_ids)));
        }
      }
    }
  }
}

TEST_P(MaskChoiceTest, MasksTheBudgetInEveryView) {
  const auto set = Synthetic();
  const ShardSampler sampler({kImages, kBatch, 1, 0, 1});
  for (const PretrainBatch& batch :
       BatchesOf<PretrainLoader>(*set, sampler, OptionsOf(GetParam()), 0, 9)) {
    EXPECT_EQ(batch.masked_ids.size(1), 16);
    const torch::Tensor together =
        std::get<0>(torch::sort(torch::cat({batch.visible_ids, batch.masked_ids}, 1), 1));
    EXPECT_TRUE(torch::equal(together, torch::arange(64).expand({2 * kBatch, 64})));
  }
}

INSTANTIATE_TEST_SUITE_P(Every, MaskChoiceTest, testing::ValuesIn(kChoices),
                         [](const auto& choice) { return std::string(choice.param.name); });

torch::Tensor MaskRow(const PretrainBatch& batch, int view, int64_t item) {
  return torch::zeros({8, 8})
      .flatten()
      .index_fill(0, batch.masked_ids[view * batch.num_images + item], 1.0)
      .view({8, 8});
}

PretrainBatch First(const Options& options) {
  const auto set = Synthetic();
  return BatchesOf<PretrainLoader>(*set, ShardSampler({kImages, kBatch, 1, 0, 1}), options, 0,
                                   1)[0];
}

// Section 7: u and v differ.
TEST(MaskedViewsTest, TheTwoViewsAreMaskedApart) {
  const PretrainBatch batch = First(OptionsOf(kChoices[2]));
  for (int64_t item = 0; item < kBatch; ++item) {
    EXPECT_FALSE(torch::equal(MaskRow(batch, 0, item), MaskRow(batch, 1, item)));
  }
}

TEST(SharedMaskTest, BothViewsHideTheSamePartsOfThePictureHoweverTheyAreFlipped) {
  for (const char* name : {"Random", "SemanticFocal", "Block"}) {
    Options options = OptionsOf(
        *std::find_if(std::begin(kChoices), std::end(kChoices),
                      [&](const Choice& choice) { return std::string(choice.name) == name; }));
    options.mask.shared = true;
    const PretrainBatch batch = First(options);
    int flipped = 0;
    for (int64_t item = 0; item < kBatch; ++item) {
      torch::Tensor in_image[2];
      for (const int view : {0, 1}) {
        const Frame frame =
            DrawFrame(options.augmentation, 64, 64,
                      {.seed = 11,
                       .epoch = 0,
                       .sample = static_cast<uint64_t>(batch.indices[static_cast<size_t>(item)]),
                       .view = static_cast<uint32_t>(view)});
        in_image[view] = MaskRow(batch, view, item);
        if (frame.is_mirrored) in_image[view] = in_image[view].flip(1);
        if (frame.is_upside_down) in_image[view] = in_image[view].flip(0);
        flipped += frame.is_mirrored || frame.is_upside_down ? 1 : 0;
      }
      EXPECT_TRUE(torch::equal(in_image[0], in_image[1])) << name;
    }
    EXPECT_GT(flipped, 3);
  }
}

TEST(SharedMaskTest, WithoutGeometricStepsBothViewsHaveTheSamePatches) {
  Options options = OptionsOf(kChoices[2]);
  options.mask.shared = true;
  options.augmentation.horizontal_flip = options.augmentation.vertical_flip = 0;
  const PretrainBatch batch = First(options);
  EXPECT_TRUE(torch::equal(batch.masked_ids.slice(0, 0, kBatch),
                           batch.masked_ids.slice(0, kBatch, 2 * kBatch)));
}

TEST(CurriculumOfTheRunTest, BeginsWithThePlainMasks) {
  Options plain = OptionsOf(kChoices[1]);
  Options moving = plain;
  moving.mask.curriculum = mask::Curriculum::kIntraToInter;
  const auto set = Synthetic();
  const ShardSampler sampler({kImages, kBatch, 1, 0, 1});
  const std::vector<PretrainBatch> a = BatchesOf<PretrainLoader>(*set, sampler, plain, 0, 9);
  const std::vector<PretrainBatch> b = BatchesOf<PretrainLoader>(*set, sampler, moving, 0, 9);
  EXPECT_TRUE(torch::equal(a[0].masked_ids, b[0].masked_ids));
  EXPECT_FALSE(torch::equal(a[8].masked_ids, b[8].masked_ids));
}

TEST(RegionsOfTheViewTest, AreCutFromTheViewAndNotFromTheImage) {
  Options options = OptionsOf(kChoices[2]);
  const PretrainBatch of_image = First(options);
  options.regions_per_view = true;
  const PretrainBatch of_view = First(options);
  EXPECT_TRUE(torch::equal(of_image.views, of_view.views));
  EXPECT_FALSE(torch::equal(of_image.regions, of_view.regions));
}

TEST(PretrainLoaderSlicTest, RefusesSettingsOutOfRange) {
  const auto set = Synthetic();
  const ShardSampler sampler({kImages, kBatch, 1, 0, 1});
  const auto message = [&](const SlicOptions& slic) {
    Options options = OptionsOf(kChoices[2]);
    options.slic = slic;
    return std::string(PretrainLoader::Create(*set, sampler, options, 0).status().message());
  };
  SlicOptions slic;
  slic.iterations = 0;
  EXPECT_EQ(message(slic), "slic.iterations is 0: it must be 1 or more");
  slic = {};
  slic.compactness = 0;
  EXPECT_EQ(message(slic), "slic.compactness is 0: it must be above 0");
  slic = {};
  slic.min_size_percent = 101;
  EXPECT_EQ(message(slic), "slic.minSizePercent is 101: it must lie in [0, 100]");
}

}  // namespace
}  // namespace g2ll::data
