#ifndef TESTS_DATA_MASK_HELPERS_H_
#define TESTS_DATA_MASK_HELPERS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "worker/data/image.h"
#include "worker/mask/allocator.h"
#include "worker/mask/mask_strategy.h"

namespace g2ll::mask::test {

// Uniform numbers that differ for every `sample`.
std::vector<double> Noise(uint64_t sample, size_t count = 256);

// A 16x16 grid with the label that the function gives each cell.
PatchLabels Labels16(const std::function<int(int row, int col)>& label);

// Eight bands of two rows, 32 patches each.
PatchLabels Bands();

// Superpixels of a picture of 256 pixels, as patches of 16.
RegionMap RegionsOf(const data::Image& image, int regions = 8);

// A strategy for 256 patches.
std::unique_ptr<MaskStrategy> Make(const MaskOptions& options);
std::unique_ptr<MaskStrategy> Make(MaskKind kind, double gamma = 0.25);

int CountIn(const PatchMask& mask, const PatchLabels& labels, int region);

// Expects that `total` went into quotas within `caps` and a remainder, which is left only
// where every region is full.
void ExpectConserved(const Allocation& allocation, int total, const std::vector<int>& caps);

inline constexpr MaskKind kEveryKind[] = {MaskKind::kRandom, MaskKind::kSemantic,
                                          MaskKind::kSemanticFocal, MaskKind::kBlock,
                                          MaskKind::kAttention};

}  // namespace g2ll::mask::test

#endif  // TESTS_DATA_MASK_HELPERS_H_
