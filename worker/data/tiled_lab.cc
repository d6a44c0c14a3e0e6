#include <algorithm>
#include <cstddef>
#include <cstring>

#include "worker/data/slic_tile.h"

namespace g2ll::data {
namespace {

int Tiles(int length) { return (length + kTileSide - 1) / kTileSide; }

// One plane of a tile.
void CopyPlane(const std::vector<int16_t>& plane, int width, const TileFacts& facts, int16_t* to) {
  for (int y = 0; y < kTileSide; ++y, to += kTileSide) {
    const int row = facts.top + std::min(y, facts.height - 1);
    const int16_t* from = &plane[static_cast<size_t>(row) * static_cast<size_t>(width) +
                                 static_cast<size_t>(facts.left)];
    if (facts.width == kTileSide) {
      std::memcpy(to, from, kTileSide * sizeof *to);
    } else {
      std::fill(std::copy_n(from, facts.width, to), to + kTileSide, from[facts.width - 1]);
    }
  }
}

void FindRange(const int16_t* __restrict values, int16_t& lowest, int16_t& highest) {
  int16_t low = INT16_MAX, high = INT16_MIN;
  for (int i = 0; i < kTilePixels; ++i) {
    low = values[i] < low ? values[i] : low;
    high = values[i] > high ? values[i] : high;
  }
  lowest = low;
  highest = high;
}

// Of the pixels that lie in the picture.
int64_t Total(const int16_t* values, const TileFacts& facts) {
  int32_t total = 0;
  if (facts.width == kTileSide) {
    for (int i = 0; i < facts.height * kTileSide; ++i) total += values[i];
    return total;
  }
  for (int y = 0; y < facts.height; ++y) {
    for (int x = 0; x < facts.width; ++x) total += values[y * kTileSide + x];
  }
  return total;
}

}  // namespace

SlicSums& SlicSums::operator+=(const SlicSums& other) {
  l += other.l;
  a += other.a;
  b += other.b;
  y += other.y;
  x += other.x;
  count += other.count;
  return *this;
}

SlicSums& SlicSums::operator-=(const SlicSums& other) {
  l -= other.l;
  a -= other.a;
  b -= other.b;
  y -= other.y;
  x -= other.x;
  count -= other.count;
  return *this;
}

TiledLab::TiledLab(const LabImage& lab)
    : rows_(Tiles(lab.height)),
      columns_(Tiles(lab.width)),
      l_(static_cast<size_t>(rows_) * static_cast<size_t>(columns_) * kTilePixels),
      a_(l_.size()),
      b_(l_.size()) {
  facts_.reserve(l_.size() / kTilePixels);
  for (int top = 0; top < lab.height; top += kTileSide) {
    for (int left = 0; left < lab.width; left += kTileSide) {
      const size_t start = facts_.size() * kTilePixels;
      TileFacts facts;
      facts.top = top;
      facts.left = left;
      facts.height = std::min(kTileSide, lab.height - top);
      facts.width = std::min(kTileSide, lab.width - left);
      CopyPlane(lab.l, lab.width, facts, &l_[start]);
      CopyPlane(lab.a, lab.width, facts, &a_[start]);
      CopyPlane(lab.b, lab.width, facts, &b_[start]);
      FindRange(&l_[start], facts.lowest[0], facts.highest[0]);
      FindRange(&a_[start], facts.lowest[1], facts.highest[1]);
      FindRange(&b_[start], facts.lowest[2], facts.highest[2]);
      const int64_t count = facts.height * facts.width;
      facts.total = {Total(&l_[start], facts),
                     Total(&a_[start], facts),
                     Total(&b_[start], facts),
                     count * (2 * top + facts.height - 1) / 2,
                     count * (2 * left + facts.width - 1) / 2,
                     count};
      facts_.push_back(facts);
    }
  }
}

}  // namespace g2ll::data
