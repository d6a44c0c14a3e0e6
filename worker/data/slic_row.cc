#include "worker/data/slic_row.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <limits>

#include "worker/data/label_runs.h"

// Compiled without fused multiply-add (see CMakeLists.txt). Inputs are whole numbers
// and every operation is an IEEE one in a fixed order, so the bits are the same on
// every machine and for every width of vectors.
namespace g2ll::data {
namespace {

constexpr float kUnreached = std::numeric_limits<float>::max();

// Inlined into one function for each kind of vectors.
#define G2LL_INLINE [[gnu::always_inline]] inline

G2LL_INLINE void ToFloat(const int16_t* __restrict from, float* __restrict to, int count) {
  for (int i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
}

// Restrict pointers, no branches and a count of whole blocks: the compiler turns this
// loop, which takes most of the time, into vector code. The label rides in the lowest
// bits of the distance: distances are positive, so one minimum finds both, and what
// the bits hide is a difference below a millionth for eight regions.
G2LL_INLINE void Compare(const SlicReach& reach, int32_t label_mask, const float* __restrict l,
                         const float* __restrict a, const float* __restrict b,
                         const float* __restrict column_distance, float* __restrict nearest) {
  const int count = (reach.right - reach.left) / kRowBlock * kRowBlock;
  const float center_l = reach.l;
  const float center_a = reach.a;
  const float center_b = reach.b;
  const float color_weight = reach.color_weight;
  const float row_distance = reach.row_distance;
  const int32_t label = reach.label;
  for (int i = 0; i < count; ++i) {
    const float dl = l[i] - center_l;
    const float da = a[i] - center_a;
    const float db = b[i] - center_b;
    const float color = dl * dl + da * da + db * db;
    const float distance = color * color_weight + (column_distance[i] + row_distance);
    const auto labelled =
        std::bit_cast<float>((std::bit_cast<int32_t>(distance) & ~label_mask) | label);
    nearest[i] = labelled < nearest[i] ? labelled : nearest[i];
  }
}

G2LL_INLINE bool ReadLabels(const float* __restrict nearest, int32_t label_mask,
                            uint16_t* __restrict labels, int count) {
  int32_t unreached = 0;
  for (int i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<int32_t>(nearest[i]);
    labels[i] = static_cast<uint16_t>(bits & label_mask);
    unreached |= static_cast<int32_t>(bits == std::bit_cast<int32_t>(kUnreached));
  }
  return unreached == 0;
}

G2LL_INLINE bool Assign(const LabRow& row, std::span<const SlicReach> reaches, int label_bits,
                        RowScratch& scratch, uint16_t* labels) {
  const int32_t label_mask = (int32_t{1} << label_bits) - 1;
  ToFloat(row.l, scratch.l.data(), row.width);
  ToFloat(row.a, scratch.a.data(), row.width);
  ToFloat(row.b, scratch.b.data(), row.width);
  std::fill(scratch.nearest.begin(), scratch.nearest.end(), kUnreached);
  for (const SlicReach& reach : reaches) {
    Compare(reach, label_mask, &scratch.l[static_cast<size_t>(reach.left)],
            &scratch.a[static_cast<size_t>(reach.left)],
            &scratch.b[static_cast<size_t>(reach.left)], reach.column_distance,
            &scratch.nearest[static_cast<size_t>(reach.left)]);
  }
  return ReadLabels(scratch.nearest.data(), label_mask, labels, row.width);
}

// A row is a few runs of one label each: sums stay in registers within a run.
G2LL_INLINE void Add(const LabRow& row, int y, const uint16_t* labels,
                     std::span<const SlicCenter> centers, std::span<SlicSums> sums) {
  for (int begin = 0; begin < row.width;) {
    const int end = RunEnd(labels, begin, row.width);
    const SlicCenter& center = centers[labels[begin]];
    SlicSums& sum = sums[labels[begin]];
    const int16_t* __restrict pixels_l = row.l;
    const int16_t* __restrict pixels_a = row.a;
    const int16_t* __restrict pixels_b = row.b;
    const int32_t center_l = center.l, center_a = center.a, center_b = center.b;
    int32_t l = 0, a = 0, b = 0, max_color = sum.max_color;
    for (int i = begin; i < end; ++i) {
      const int32_t dl = pixels_l[i] - center_l;
      const int32_t da = pixels_a[i] - center_a;
      const int32_t db = pixels_b[i] - center_b;
      l += dl;
      a += da;
      b += db;
      max_color = std::max(max_color, dl * dl + da * da + db * db);
    }
    const int64_t count = end - begin;
    sum.l += l + count * center_l;
    sum.a += a + count * center_a;
    sum.b += b + count * center_b;
    sum.y += y * count;
    sum.x += begin * count + count * (count - 1) / 2;
    sum.count += count;
    sum.max_color = max_color;
    begin = end;
  }
}

#define G2LL_SLIC_LOOPS(NAME, TARGET)                                                             \
  TARGET bool Assign##NAME(const LabRow& row, std::span<const SlicReach> reaches, int label_bits, \
                           RowScratch& scratch, uint16_t* labels) {                               \
    return Assign(row, reaches, label_bits, scratch, labels);                                     \
  }                                                                                               \
  TARGET void Add##NAME(const LabRow& row, int y, const uint16_t* labels,                         \
                        std::span<const SlicCenter> centers, std::span<SlicSums> sums) {          \
    Add(row, y, labels, centers, sums);                                                           \
  }

G2LL_SLIC_LOOPS(Plain, )
#if defined(__x86_64__)
G2LL_SLIC_LOOPS(Avx2, [[gnu::target("avx2")]])
G2LL_SLIC_LOOPS(Avx512,
                [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")]])
#endif

std::vector<SlicLoops> FindLoops() {
  std::vector<SlicLoops> loops = {{"plain", AssignPlain, AddPlain}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) loops.push_back({"avx2", AssignAvx2, AddAvx2});
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    loops.push_back({"avx512", AssignAvx512, AddAvx512});
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
