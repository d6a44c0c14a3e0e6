#include "tests/data/mask_helpers.h"

#include <gtest/gtest.h>

#include <numeric>

#include "worker/data/clean_image.h"
#include "worker/data/region_contrast.h"
#include "worker/data/slic.h"
#include "worker/mask/attention_mask.h"

namespace g2ll::mask::test {

std::vector<double> Noise(uint64_t sample, size_t count) {
  return MaskNoise({.seed = 9, .sample = sample}, count);
}

PatchLabels Labels16(const std::function<int(int row, int col)>& label) {
  PatchLabels labels;
  labels.grid = {16, 16};
  for (int patch = 0; patch < 256; ++patch) labels.labels.push_back(label(patch / 16, patch % 16));
  return labels;
}

PatchLabels Bands() {
  return Labels16([](int row, int) { return row / 2; });
}

RegionMap RegionsOf(const data::Image& image, int regions) {
  data::SlicOptions slic;
  slic.regions = regions;
  const data::LabelMap pixels = data::SlicRegions(image, slic);
  RegionMap map = *data::RegionsOfPatches(pixels, 16);
  data::MeasureContrast(image, pixels, 16, map);
  return map;
}

std::unique_ptr<MaskStrategy> Make(const MaskOptions& options) {
  auto strategy = MakeMaskStrategy(options, 256);
  EXPECT_TRUE(strategy.ok()) << strategy.status();
  return *std::move(strategy);
}

std::unique_ptr<MaskStrategy> Make(MaskKind kind, double gamma) {
  return Make({.kind = kind, .gamma = gamma});
}

int CountIn(const PatchMask& mask, const PatchLabels& labels, int region) {
  int count = 0;
  for (size_t patch = 0; patch < mask.masked.size(); ++patch) {
    count += mask.masked[patch] && labels.labels[patch] == region ? 1 : 0;
  }
  return count;
}

void ExpectConserved(const Allocation& allocation, int total, const std::vector<int>& caps) {
  const int given = std::accumulate(allocation.quotas.begin(), allocation.quotas.end(), 0);
  EXPECT_EQ(given + allocation.remainder, total);
  ASSERT_EQ(allocation.quotas.size(), caps.size());
  for (size_t i = 0; i < caps.size(); ++i) {
    EXPECT_GE(allocation.quotas[i], 0);
    EXPECT_LE(allocation.quotas[i], caps[i]);
  }
  if (allocation.remainder > 0) {
    EXPECT_EQ(allocation.quotas, caps);
  }
}

}  // namespace g2ll::mask::test
