#include "worker/data/slic_tile.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>

// Compiled without fused multiply-add (see CMakeLists.txt). Inputs are whole numbers
// and every operation is an IEEE one in a fixed order, so the bits are the same on
// every machine and for every width of vectors.
namespace g2ll::data {
namespace {

// Inlined into one function for each kind of vectors.
#define G2LL_INLINE [[gnu::always_inline]] inline

G2LL_INLINE void ToFloat(const int16_t* __restrict from, float* __restrict to) {
  for (int i = 0; i < kTilePixels; ++i) to[i] = static_cast<float>(from[i]);
}

struct FloatTile {
  alignas(64) std::array<float, kTilePixels> l, a, b;
};

// Restrict pointers, no branches and a fixed length: the compiler turns this loop,
// which takes most of the time, into vector code. The label rides in the lowest bits
// of the distance: distances are positive, so one minimum finds both, and what the
// bits hide is a difference below a millionth for eight regions.
G2LL_INLINE void Compare(const SlicCandidate& candidate, int32_t label_mask, const FloatTile& tile,
                         float* __restrict nearest) {
  const float center_l = candidate.l;
  const float center_a = candidate.a;
  const float center_b = candidate.b;
  const float color_weight = candidate.color_weight;
  const int32_t label = candidate.label;
  const float* __restrict column_distance = candidate.column_distance;
  for (int y = 0; y < kTileSide; ++y) {
    const float row_distance = candidate.row_distance[y];
    const float* __restrict l = &tile.l[static_cast<size_t>(y * kTileSide)];
    const float* __restrict a = &tile.a[static_cast<size_t>(y * kTileSide)];
    const float* __restrict b = &tile.b[static_cast<size_t>(y * kTileSide)];
    float* __restrict row = nearest + y * kTileSide;
    for (int x = 0; x < kTileSide; ++x) {
      const float dl = l[x] - center_l;
      const float da = a[x] - center_a;
      const float db = b[x] - center_b;
      const float color = dl * dl + da * da + db * db;
      const float distance = color * color_weight + (column_distance[x] + row_distance);
      const auto labelled =
          std::bit_cast<float>((std::bit_cast<int32_t>(distance) & ~label_mask) | label);
      row[x] = labelled < row[x] ? labelled : row[x];
    }
  }
}

G2LL_INLINE void Assign(const TilePixels& pixels, std::span<const SlicCandidate> candidates,
                        int label_bits, uint16_t* __restrict labels) {
  const int32_t label_mask = (int32_t{1} << label_bits) - 1;
  FloatTile tile;
  ToFloat(pixels.l, tile.l.data());
  ToFloat(pixels.a, tile.a.data());
  ToFloat(pixels.b, tile.b.data());
  alignas(64) std::array<float, kTilePixels> nearest;
  nearest.fill(std::numeric_limits<float>::max());
  for (const SlicCandidate& candidate : candidates) {
    Compare(candidate, label_mask, tile, nearest.data());
  }
  for (int i = 0; i < kTilePixels; ++i) {
    labels[i] =
        static_cast<uint16_t>(std::bit_cast<int32_t>(nearest[static_cast<size_t>(i)]) & label_mask);
  }
}

G2LL_INLINE SlicSums Sum(const TilePixels& tile, const uint16_t* __restrict labels,
                         uint16_t label) {
  const int16_t* __restrict tile_l = tile.l;
  const int16_t* __restrict tile_a = tile.a;
  const int16_t* __restrict tile_b = tile.b;
  int32_t l = 0, a = 0, b = 0, place = 0, y = 0, count = 0;
  for (int i = 0; i < kTilePixels; ++i) {
    // All ones where the pixel has the label.
    const int32_t mask = -static_cast<int32_t>(labels[i] == label);
    l += tile_l[i] & mask;
    a += tile_a[i] & mask;
    b += tile_b[i] & mask;
    place += i & mask;
    y += (i / kTileSide) & mask;
    count -= mask;
  }
  return {l, a, b, y, place - kTileSide * y, count};
}

G2LL_INLINE int32_t MaxColor(const TilePixels& tile, const uint16_t* __restrict labels,
                             uint16_t label, const SlicCenter& center) {
  const int16_t* __restrict tile_l = tile.l;
  const int16_t* __restrict tile_a = tile.a;
  const int16_t* __restrict tile_b = tile.b;
  const int32_t center_l = center.l, center_a = center.a, center_b = center.b;
  int32_t largest = 0;
  for (int i = 0; i < kTilePixels; ++i) {
    const int32_t mask = -static_cast<int32_t>(labels[i] == label);
    const int32_t dl = tile_l[i] - center_l;
    const int32_t da = tile_a[i] - center_a;
    const int32_t db = tile_b[i] - center_b;
    largest = std::max(largest, (dl * dl + da * da + db * db) & mask);
  }
  return largest;
}

#define G2LL_SLIC_LOOPS(NAME, TARGET)                                                           \
  TARGET void Assign##NAME(const TilePixels& tile, std::span<const SlicCandidate> candidates,   \
                           int label_bits, uint16_t* labels) {                                  \
    Assign(tile, candidates, label_bits, labels);                                               \
  }                                                                                             \
  TARGET SlicSums Sum##NAME(const TilePixels& tile, const uint16_t* labels, uint16_t label) {   \
    return Sum(tile, labels, label);                                                            \
  }                                                                                             \
  TARGET int32_t MaxColor##NAME(const TilePixels& tile, const uint16_t* labels, uint16_t label, \
                                const SlicCenter& center) {                                     \
    return MaxColor(tile, labels, label, center);                                               \
  }

G2LL_SLIC_LOOPS(Plain, )
#if defined(__x86_64__)
G2LL_SLIC_LOOPS(Avx2, [[gnu::target("avx2")]])
#endif

std::vector<SlicLoops> FindLoops() {
  std::vector<SlicLoops> loops = {{"plain", AssignPlain, SumPlain, MaxColorPlain}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    loops.push_back({"avx2", AssignAvx2, SumAvx2, MaxColorAvx2});
  }
#endif
  return loops;
}

}  // namespace

std::span<const SlicLoops> SupportedSlicLoops() {
  static const std::vector<SlicLoops> loops = FindLoops();
  return loops;
}

}  // namespace g2ll::data
