#include "worker/data/slic.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "worker/data/slic_tile.h"

namespace g2ll::data {
namespace {

constexpr int kScale = LabImage::kScale;
// "10^2" of the method, in squared sixteenths.
constexpr int32_t kInitialMaxColor = 100 * kScale * kScale;

size_t PixelAt(const LabImage& lab, int y, int x) {
  return static_cast<size_t>(y) * static_cast<size_t>(lab.width) + static_cast<size_t>(x);
}

int64_t FloorDivide(int64_t value, int64_t by) {
  const int64_t quotient = value / by;
  return quotient * by > value ? quotient - 1 : quotient;
}

// Squared color gradient; -1 never wins, for pixels without all four neighbors.
int64_t Gradient(const LabImage& lab, int y, int x) {
  if (y < 1 || x < 1 || y >= lab.height - 1 || x >= lab.width - 1) return -1;
  int64_t sum = 0;
  for (const std::vector<int16_t>* plane : {&lab.l, &lab.a, &lab.b}) {
    const int64_t dx = (*plane)[PixelAt(lab, y, x + 1)] - (*plane)[PixelAt(lab, y, x - 1)];
    const int64_t dy = (*plane)[PixelAt(lab, y + 1, x)] - (*plane)[PixelAt(lab, y - 1, x)];
    sum += dx * dx + dy * dy;
  }
  return sum;
}

// Moves a seed off an edge: to the lowest gradient among its neighbors.
SlicSeed Calmest(const LabImage& lab, const SlicSeed& seed) {
  SlicSeed best = seed;
  int64_t lowest = Gradient(lab, seed.y, seed.x);
  if (lowest < 0) return seed;
  for (int dy = -1; dy <= 1; ++dy) {
    for (int dx = -1; dx <= 1; ++dx) {
      const int64_t gradient = Gradient(lab, seed.y + dy, seed.x + dx);
      if (gradient >= 0 && gradient < lowest) {
        lowest = gradient;
        best = {seed.y + dy, seed.x + dx};
      }
    }
  }
  return best;
}

std::vector<SlicCenter> StartCenters(const LabImage& lab, const std::vector<SlicSeed>& seeds) {
  std::vector<SlicCenter> centers;
  for (const SlicSeed& seed : seeds) {
    const SlicSeed at = Calmest(lab, seed);
    const size_t pixel = PixelAt(lab, at.y, at.x);
    centers.push_back(
        {lab.l[pixel], lab.a[pixel], lab.b[pixel], at.y * kScale, at.x * kScale, kInitialMaxColor});
  }
  return centers;
}

// Distances beyond a center's window are multiplied by this: every center in whose
// window a pixel lies is nearer, and where there is none, place decides.
constexpr float kBeyond = 1e30F;

// The tiles that hold a pixel within `step` of a center.
struct Window {
  int top = 0, bottom = 0;  // rows of tiles [top, bottom)
  int left = 0, right = 0;  // columns of tiles [left, right)
};

// The k-means of SLIC: pixels to centers, centers to the means of their pixels. Tiles
// inside a region are settled without a look at their pixels: from the range of a
// tile's colors follows which centers may be the nearest of any pixel.
class Clusters {
 public:
  Clusters(const SlicLoops& loops, const LabImage& lab, const SlicOptions& options,
           const SlicSeeds& seeds)
      : loops_(loops),
        lab_(lab),
        options_(options),
        tiles_(lab),
        step_(seeds.step),
        space_weight_(1.0F / (static_cast<float>(step_ * step_) * float{kScale * kScale})),
        centers_(StartCenters(lab, seeds.seeds)),
        label_bits_(static_cast<int>(std::bit_width(centers_.size() - 1))),
        windows_(centers_.size()),
        color_weights_(centers_.size()),
        row_distances_(centers_.size() * RowStride()),
        column_distances_(centers_.size() * ColumnStride()),
        max_colors_(centers_.size(), kInitialMaxColor),
        labels_(tiles_.size() * kTilePixels) {}

  LabelMap Run() && {
    for (int round = 1; round < options_.iterations; ++round) {
      Assign(/*add=*/true);
      // Nothing moved: every further round would give the same labels.
      if (!MoveCenters()) return Labels();
    }
    Assign(/*add=*/false);
    return Labels();
  }

 private:
  // Where a picture's last tile reaches beyond it.
  static constexpr uint16_t kNoLabel = UINT16_MAX;

  size_t RowStride() const { return static_cast<size_t>(tiles_.rows() * kTileSide); }
  size_t ColumnStride() const { return static_cast<size_t>(tiles_.columns() * kTileSide); }

  // Weighted squared distance of a whole row or column from a place in sixteenths.
  float Distance(int whole, int from) const {
    const auto difference = static_cast<float>(whole * kScale - from);
    return difference * difference * space_weight_;
  }

  float ColorWeight(const SlicCenter& center) const {
    if (options_.mode == SlicMode::kSlico) return 1.0F / static_cast<float>(center.max_color);
    // The bound keeps distances finite; color decides alone long before it.
    const auto compactness = static_cast<float>(std::max(options_.compactness, 1e-6));
    return 1.0F / (compactness * compactness * float{kScale * kScale});
  }

  void OpenWindows() {
    const auto tile_of = [](int pixel) { return std::max(pixel, 0) / kTileSide; };
    for (size_t k = 0; k < centers_.size(); ++k) {
      const int cy = centers_[k].y / kScale;
      const int cx = centers_[k].x / kScale;
      const Window window{tile_of(cy - step_), std::min(tiles_.rows(), tile_of(cy + step_) + 1),
                          tile_of(cx - step_), std::min(tiles_.columns(), tile_of(cx + step_) + 1)};
      float* row_distance = &row_distances_[k * RowStride()];
      for (int y = window.top * kTileSide; y < window.bottom * kTileSide; ++y) {
        const float beyond = std::abs(y - cy) > step_ ? kBeyond : 1.0F;
        row_distance[y] = 1.0F + Distance(y, centers_[k].y) * beyond;
      }
      float* column_distance = &column_distances_[k * ColumnStride()];
      for (int x = window.left * kTileSide; x < window.right * kTileSide; ++x) {
        const float beyond = std::abs(x - cx) > step_ ? kBeyond : 1.0F;
        column_distance[x] = Distance(x, centers_[k].x) * beyond;
      }
      windows_[k] = window;
      color_weights_[k] = ColorWeight(centers_[k]);
    }
  }

  void Assign(bool add) {
    OpenWindows();
    sums_.assign(centers_.size(), SlicSums{});
    size_t tile = 0;
    for (int row = 0; row < tiles_.rows(); ++row) {
      in_row_.clear();
      for (size_t k = 0; k < windows_.size(); ++k) {
        if (row >= windows_[k].top && row < windows_[k].bottom) in_row_.push_back(k);
      }
      for (int column = 0; column < tiles_.columns(); ++column, ++tile) {
        FindCandidates(tile, column);
        AssignTile(tile);
        if (add) AddTile(tile);
      }
    }
  }

  // What can be said of a center's distances to the pixels of a tile.
  struct Bounds {
    size_t center = 0;
    float nearest = 0;      // no pixel is nearer
    float farthest = 0;     // no pixel is farther
    int32_t max_color = 0;  // no squared color distance is larger
  };

  Bounds BoundsOf(size_t k, const TileFacts& facts) const {
    const SlicCenter& center = centers_[k];
    const int color[3] = {center.l, center.a, center.b};
    int32_t least = 0;
    int32_t most = 0;
    for (size_t c = 0; c < 3; ++c) {
      const int below = facts.lowest[c] - color[c];   // positive: all lie above
      const int above = color[c] - facts.highest[c];  // positive: all lie below
      const int outside = std::max({below, above, 0});
      const int farthest = std::max(-below, -above);
      least += outside * outside;
      most += farthest * farthest;
    }
    const float* row = &row_distances_[k * RowStride()] + facts.top;
    const float* column = &column_distances_[k * ColumnStride()] + facts.left;
    const auto least_of = [](const float* distances, int from, int to, int center_at) {
      if (center_at >= from * kScale && center_at <= to * kScale) return 0.0F;
      return std::min(distances[0], distances[to - from]);
    };
    constexpr int kLast = kTileSide - 1;
    const float weight = color_weights_[k];
    return {k,
            static_cast<float>(least) * weight +
                (least_of(column, facts.left, facts.left + kLast, center.x) +
                 std::max(least_of(row, facts.top, facts.top + kLast, center.y), 1.0F)),
            static_cast<float>(most) * weight +
                (std::max(column[0], column[kLast]) + std::max(row[0], row[kLast])),
            most};
  }

  // The centers that may be the nearest one of some pixel of the tile: those in whose
  // window it lies, but for those that are farther from every pixel than another one
  // is from any.
  void FindCandidates(size_t tile, int column) {
    const TileFacts& facts = tiles_.facts(tile);
    bounds_.clear();
    float farthest = std::numeric_limits<float>::max();
    for (const size_t k : in_row_) {
      if (column < windows_[k].left || column >= windows_[k].right) continue;
      bounds_.push_back(BoundsOf(k, facts));
      farthest = std::min(farthest, bounds_.back().farthest);
    }
    if (!loops_.prune) return;
    // What rounding and the labels in the lowest bits of distances may hide.
    const float margin = std::ldexp(farthest, label_bits_ - 20);
    std::erase_if(bounds_,
                  [&](const Bounds& bounds) { return bounds.nearest > farthest + margin; });
  }

  // The nearest center of a tile that lies in no window, at corners of unusual shapes.
  size_t NearestCenter(const TileFacts& facts) const {
    size_t nearest = 0;
    int64_t least = std::numeric_limits<int64_t>::max();
    for (size_t k = 0; k < centers_.size(); ++k) {
      const int64_t dy = int64_t{facts.top + kTileSide / 2} * kScale - centers_[k].y;
      const int64_t dx = int64_t{facts.left + kTileSide / 2} * kScale - centers_[k].x;
      if (dy * dy + dx * dx >= least) continue;
      least = dy * dy + dx * dx;
      nearest = k;
    }
    return nearest;
  }

  void AssignTile(size_t tile) {
    const TileFacts& facts = tiles_.facts(tile);
    if (bounds_.empty()) {
      bounds_.push_back({NearestCenter(facts), 0, 0, std::numeric_limits<int32_t>::max()});
    }
    uint16_t* labels = &labels_[tile * kTilePixels];
    if (bounds_.size() == 1) {
      std::fill_n(labels, kTilePixels, static_cast<uint16_t>(bounds_[0].center));
    } else {
      candidates_.clear();
      for (const Bounds& bounds : bounds_) {
        const SlicCenter& center = centers_[bounds.center];
        candidates_.push_back({static_cast<int32_t>(bounds.center), static_cast<float>(center.l),
                               static_cast<float>(center.a), static_cast<float>(center.b),
                               color_weights_[bounds.center],
                               &row_distances_[bounds.center * RowStride()] + facts.top,
                               &column_distances_[bounds.center * ColumnStride()] + facts.left});
      }
      loops_.assign(tiles_.pixels(tile), candidates_, label_bits_, labels);
    }
    if (facts.height == kTileSide && facts.width == kTileSide) return;
    for (int i = 0; i < kTilePixels; ++i) {
      if (i / kTileSide >= facts.height || i % kTileSide >= facts.width) labels[i] = kNoLabel;
    }
  }

  // Adds the tile's pixels to their clusters: those of the last candidate are what the
  // others leave.
  void AddTile(size_t tile) {
    const TileFacts& facts = tiles_.facts(tile);
    const TilePixels pixels = tiles_.pixels(tile);
    const uint16_t* labels = &labels_[tile * kTilePixels];
    SlicSums rest = facts.total;
    for (size_t i = 0; i + 1 < bounds_.size(); ++i) {
      SlicSums sums = loops_.sum(pixels, labels, static_cast<uint16_t>(bounds_[i].center));
      sums.y += facts.top * sums.count;
      sums.x += facts.left * sums.count;
      sums_[bounds_[i].center] += sums;
      rest -= sums;
    }
    sums_[bounds_.back().center] += rest;
    if (options_.mode == SlicMode::kSlic) return;
    for (const Bounds& bounds : bounds_) {
      int32_t& max_color = max_colors_[bounds.center];
      if (loops_.prune && bounds.max_color <= max_color) continue;
      max_color =
          std::max(max_color, loops_.max_color(pixels, labels, static_cast<uint16_t>(bounds.center),
                                               centers_[bounds.center]));
    }
  }

  // To the means of their pixels; largest color distances only grow. Returns whether
  // anything changed. Means round down, which commutes with adding a constant: hence
  // the shift invariance.
  bool MoveCenters() {
    bool changed = false;
    for (size_t k = 0; k < centers_.size(); ++k) {
      const SlicSums& sum = sums_[k];
      if (sum.count == 0) continue;
      const auto mean = [&](int64_t total) {
        return static_cast<int>(FloorDivide(total, sum.count));
      };
      const SlicCenter moved{mean(sum.l),          mean(sum.a),          mean(sum.b),
                             mean(sum.y * kScale), mean(sum.x * kScale), max_colors_[k]};
      changed = changed || moved != centers_[k];
      centers_[k] = moved;
    }
    return changed;
  }

  LabelMap Labels() const {
    LabelMap map{lab_.height, lab_.width, std::vector<uint16_t>(lab_.l.size())};
    for (size_t tile = 0; tile < tiles_.size(); ++tile) {
      const TileFacts& facts = tiles_.facts(tile);
      for (int y = 0; y < facts.height; ++y) {
        const uint16_t* row = &labels_[tile * kTilePixels + static_cast<size_t>(y * kTileSide)];
        uint16_t* to = &map.labels[PixelAt(lab_, facts.top + y, facts.left)];
        if (facts.width == kTileSide) {
          std::memcpy(to, row, kTileSide * sizeof *to);
        } else {
          std::copy_n(row, facts.width, to);
        }
      }
    }
    return map;
  }

  const SlicLoops& loops_;
  const LabImage& lab_;
  const SlicOptions& options_;
  const TiledLab tiles_;
  const int step_;
  const float space_weight_;
  std::vector<SlicCenter> centers_;
  const int label_bits_;
  std::vector<Window> windows_;          // by center
  std::vector<float> color_weights_;     // by center
  std::vector<float> row_distances_;     // [centers, rows], within the windows
  std::vector<float> column_distances_;  // [centers, columns], within the windows
  std::vector<SlicSums> sums_;           // by center
  std::vector<int32_t> max_colors_;      // by center, with this round's
  std::vector<uint16_t> labels_;         // [tiles, kTilePixels]
  std::vector<size_t> in_row_;           // centers in whose window the row of tiles lies
  std::vector<Bounds> bounds_;           // of the tile at hand
  std::vector<SlicCandidate> candidates_;
};

}  // namespace

LabelMap SlicRegionsBy(const SlicLoops& loops, const LabImage& lab, const SlicOptions& options) {
  const SlicSeeds seeds = PlaceSeeds(lab.height, lab.width, options.regions, options.layout);
  const LabelMap clusters = Clusters(loops, lab, options, seeds).Run();
  const auto mean_size = static_cast<int64_t>(lab.l.size() / seeds.seeds.size());
  const auto max_small = static_cast<int>(mean_size * options.min_size_percent / 100);
  LabelMap regions = ConnectRegions(clusters, max_small);
  return options.exact ? WithExactRegions(regions, options.regions) : regions;
}

LabelMap SlicRegions(const LabImage& lab, const SlicOptions& options) {
  return SlicRegionsBy(SupportedSlicLoops().back(), lab, options);
}

LabelMap SlicRegions(const Image& image, const SlicOptions& options) {
  return SlicRegions(options.blur ? SmoothedLab(image) : PlainLab(image), options);
}

}  // namespace g2ll::data
