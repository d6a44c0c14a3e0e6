#include "worker/data/slic.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "worker/data/slic_row.h"

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

// The pixels within `step` of a center, clipped to the picture.
struct Window {
  int top = 0;
  int bottom = 0;
  SlicReach reach;  // of every row but for its `row_distance`
};

// The k-means of SLIC: pixels to centers, centers to the means of their pixels.
class Clusters {
 public:
  Clusters(const SlicLoops& loops, const LabImage& lab, const SlicOptions& options,
           const SlicSeeds& seeds)
      : loops_(loops),
        lab_(lab),
        options_(options),
        step_(seeds.step),
        space_weight_(1.0F / (static_cast<float>(step_ * step_) * float{kScale * kScale})),
        centers_(StartCenters(lab, seeds.seeds)),
        label_bits_(static_cast<int>(std::bit_width(centers_.size() - 1))),
        window_columns_(std::min(WholeBlocks(2 * step_ + 1) + kRowBlock, WholeBlocks(lab.width))),
        column_distances_(centers_.size() * static_cast<size_t>(window_columns_)),
        windows_(centers_.size()),
        sums_(centers_.size()),
        scratch_(lab.width),
        map_{lab.height, lab.width, std::vector<uint16_t>(lab.l.size())} {}

  LabelMap Run() && {
    for (int round = 1; round < options_.iterations; ++round) {
      Assign(/*add=*/true);
      // Nothing moved: every further round would give the same labels.
      if (!MoveCenters()) return std::move(map_);
    }
    Assign(/*add=*/false);
    return std::move(map_);
  }

 private:
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
    for (size_t k = 0; k < centers_.size(); ++k) {
      const SlicCenter& center = centers_[k];
      const int cy = center.y / kScale;
      const int cx = center.x / kScale;
      const int left = std::max(0, cx - step_) / kRowBlock * kRowBlock;
      const int right = WholeBlocks(std::min(lab_.width, cx + step_ + 1));
      float* column_distance = &column_distances_[k * static_cast<size_t>(window_columns_)];
      for (int x = left; x < right; ++x) column_distance[x - left] = Distance(x, center.x);
      windows_[k] = {std::max(0, cy - step_),
                     std::min(lab_.height, cy + step_ + 1),
                     {left, right, static_cast<int32_t>(k), static_cast<float>(center.l),
                      static_cast<float>(center.a), static_cast<float>(center.b),
                      ColorWeight(center), 0.0F, column_distance}};
    }
  }

  void Assign(bool add) {
    OpenWindows();
    std::fill(sums_.begin(), sums_.end(), SlicSums{});
    for (int y = 0; y < lab_.height; ++y) {
      reaches_.clear();
      for (size_t k = 0; k < windows_.size(); ++k) {
        if (y < windows_[k].top || y >= windows_[k].bottom) continue;
        reaches_.push_back(windows_[k].reach);
        reaches_.back().row_distance = 1.0F + Distance(y, centers_[k].y);
      }
      const size_t start = PixelAt(lab_, y, 0);
      const LabRow row{&lab_.l[start], &lab_.a[start], &lab_.b[start], lab_.width};
      uint16_t* labels = &map_.labels[start];
      if (!loops_.assign(row, reaches_, label_bits_, scratch_, labels)) FillUnreached(y, labels);
      if (add) loops_.add(row, y, labels, centers_, sums_);
    }
  }

  // Pixels that no window reached, at corners of unusual shapes, go to the nearest
  // center.
  void FillUnreached(int y, uint16_t* labels) const {
    for (int x = 0; x < lab_.width; ++x) {
      const bool reached = std::any_of(reaches_.begin(), reaches_.end(), [&](const auto& reach) {
        return x >= reach.left && x < reach.right;
      });
      if (reached) continue;
      int64_t nearest = std::numeric_limits<int64_t>::max();
      for (size_t k = 0; k < centers_.size(); ++k) {
        const int64_t dy = int64_t{y} * kScale - centers_[k].y;
        const int64_t dx = int64_t{x} * kScale - centers_[k].x;
        if (dy * dy + dx * dx < nearest) {
          nearest = dy * dy + dx * dx;
          labels[x] = static_cast<uint16_t>(k);
        }
      }
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
      const SlicCenter moved{mean(sum.l),          mean(sum.a),
                             mean(sum.b),          mean(sum.y * kScale),
                             mean(sum.x * kScale), std::max(centers_[k].max_color, sum.max_color)};
      changed = changed || moved != centers_[k];
      centers_[k] = moved;
    }
    return changed;
  }

  const SlicLoops& loops_;
  const LabImage& lab_;
  const SlicOptions& options_;
  const int step_;
  const float space_weight_;
  std::vector<SlicCenter> centers_;
  const int label_bits_;
  const int window_columns_;
  std::vector<float> column_distances_;  // [centers, window columns]
  std::vector<Window> windows_;
  std::vector<SlicSums> sums_;
  std::vector<SlicReach> reaches_;
  RowScratch scratch_;
  LabelMap map_;
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
