#ifndef WORKER_DATA_SLIC_ROW_H_
#define WORKER_DATA_SLIC_ROW_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "worker/data/slic.h"

// The inner loops of slic.cc, one row of pixels at a time. Each is compiled for
// several kinds of vectors; all of them give the same bits.
namespace g2ll::data {

// Windows end at whole blocks of columns, so that loops over them have no remainder.
inline constexpr int kRowBlock = 8;
inline constexpr int WholeBlocks(int columns) {
  return (columns + kRowBlock - 1) / kRowBlock * kRowBlock;
}

struct SlicCenter {
  // Color in sixteenths, position in sixteenths of a pixel.
  int l = 0, a = 0, b = 0, y = 0, x = 0;
  // Largest color distance so far, squared sixteenths.
  int32_t max_color = 0;

  friend bool operator==(const SlicCenter&, const SlicCenter&) = default;
};

// The pixels that belong to a cluster.
struct SlicSums {
  int64_t l = 0, a = 0, b = 0, y = 0, x = 0, count = 0;
  int32_t max_color = 0;
};

// A center's window in one row: columns [left, right), both whole blocks.
struct SlicReach {
  int left = 0;
  int right = 0;
  int32_t label = 0;
  float l = 0, a = 0, b = 0;
  float color_weight = 0;
  // Weighted squared distance of the row, and of each column from `left` on. The sum
  // lies between 1 and a few millions, far from numbers that processors may flush.
  float row_distance = 0;
  const float* column_distance = nullptr;
};

// Sixteenths of Lab, one row.
struct LabRow {
  const int16_t* l = nullptr;
  const int16_t* a = nullptr;
  const int16_t* b = nullptr;
  int width = 0;
};

// What a row is worked out in. One thread at a time.
struct RowScratch {
  explicit RowScratch(int width)
      : l(static_cast<size_t>(WholeBlocks(width))), a(l.size()), b(l.size()), nearest(l.size()) {}
  std::vector<float> l, a, b;
  // Distance to the nearest center; the label of that center in its lowest bits.
  std::vector<float> nearest;
};

// Gives every pixel of the row the label of its nearest center, ties to the lower
// label; `label_bits` are what the largest label needs. Returns false if some pixel
// lies in no window; its label is then undefined.
using AssignRow = bool (*)(const LabRow& row, std::span<const SlicReach> reaches, int label_bits,
                           RowScratch& scratch, uint16_t* labels);

// Adds the pixels of row `y` to the sums of their clusters.
using AddRow = void (*)(const LabRow& row, int y, const uint16_t* labels,
                        std::span<const SlicCenter> centers, std::span<SlicSums> sums);

struct SlicLoops {
  const char* name = nullptr;
  AssignRow assign = nullptr;
  AddRow add = nullptr;
};

// Those that this processor can run, the fastest last.
std::span<const SlicLoops> SupportedSlicLoops();

// SlicRegions by the given loops.
LabelMap SlicRegionsBy(const SlicLoops& loops, const LabImage& lab, const SlicOptions& options);

}  // namespace g2ll::data

#endif  // WORKER_DATA_SLIC_ROW_H_
