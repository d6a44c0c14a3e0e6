#ifndef WORKER_DATA_SLIC_TILE_H_
#define WORKER_DATA_SLIC_TILE_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "worker/data/slic.h"

// The inner loops of slic.cc. They work on tiles of 16x16 pixels, which lie together
// in memory, so that loops have a fixed length; each is compiled for several kinds of
// vectors, and all of them give the same bits.
namespace g2ll::data {

inline constexpr int kTileSide = 16;
inline constexpr int kTilePixels = kTileSide * kTileSide;

struct SlicCenter {
  // Color in sixteenths, position in sixteenths of a pixel.
  int l = 0, a = 0, b = 0, y = 0, x = 0;
  // Largest color distance so far, squared sixteenths.
  int32_t max_color = 0;

  friend bool operator==(const SlicCenter&, const SlicCenter&) = default;
};

// Sums over pixels.
struct SlicSums {
  int64_t l = 0, a = 0, b = 0, y = 0, x = 0, count = 0;

  SlicSums& operator+=(const SlicSums& other);
  SlicSums& operator-=(const SlicSums& other);
};

// Lab in sixteenths, three planes of kTilePixels, row-major.
struct TilePixels {
  const int16_t* l = nullptr;
  const int16_t* a = nullptr;
  const int16_t* b = nullptr;
};

// What is known of a tile before any round.
struct TileFacts {
  int top = 0, left = 0;
  int height = kTileSide, width = kTileSide;  // less at the picture's lower and right edge
  std::array<int16_t, 3> lowest = {};         // of l, a, b
  std::array<int16_t, 3> highest = {};
  SlicSums total;
};

// A picture cut into tiles. Tiles that reach beyond it repeat its last pixels there.
class TiledLab {
 public:
  explicit TiledLab(const LabImage& lab);

  int rows() const { return rows_; }        // of tiles
  int columns() const { return columns_; }  // of tiles
  size_t size() const { return facts_.size(); }
  const TileFacts& facts(size_t tile) const { return facts_[tile]; }
  TilePixels pixels(size_t tile) const {
    const size_t start = tile * kTilePixels;
    return {&l_[start], &a_[start], &b_[start]};
  }

 private:
  int rows_;
  int columns_;
  std::vector<int16_t> l_, a_, b_;  // [tiles, kTilePixels]
  std::vector<TileFacts> facts_;
};

// A center that may be the nearest one of some pixel of a tile.
struct SlicCandidate {
  int32_t label = 0;
  float l = 0, a = 0, b = 0;
  float color_weight = 0;
  // Weighted squared distances of the tile's rows and columns. Their sum lies between 1
  // and a few millions, far from numbers that processors may flush to zero.
  const float* row_distance = nullptr;
  const float* column_distance = nullptr;
};

// Gives every pixel of a tile the label of its nearest candidate, ties to the lower
// label; `label_bits` are what the largest label needs.
using AssignTile = void (*)(const TilePixels& tile, std::span<const SlicCandidate> candidates,
                            int label_bits, uint16_t* labels);

// Sums over the tile's pixels with this label; y and x count from the tile's corner.
using SumTile = SlicSums (*)(const TilePixels& tile, const uint16_t* labels, uint16_t label);

// Largest squared color distance to `center` of the tile's pixels with this label.
using MaxColorOfTile = int32_t (*)(const TilePixels& tile, const uint16_t* labels, uint16_t label,
                                   const SlicCenter& center);

struct SlicLoops {
  const char* name = nullptr;
  AssignTile assign = nullptr;
  SumTile sum = nullptr;
  MaxColorOfTile max_color = nullptr;
  // Leave out what a tile's range of colors rules out. Changes the time only.
  bool prune = true;
};

// Those that this processor can run, the fastest last.
std::span<const SlicLoops> SupportedSlicLoops();

// SlicRegions by the given loops.
LabelMap SlicRegionsBy(const SlicLoops& loops, const LabImage& lab, const SlicOptions& options);

}  // namespace g2ll::data

#endif  // WORKER_DATA_SLIC_TILE_H_
