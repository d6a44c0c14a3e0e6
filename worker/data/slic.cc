#include "worker/data/slic.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>

// The inner loop is in single precision because every processor has vectors for it.
// This file is compiled without fused multiply-add (see CMakeLists.txt), and all
// inputs are whole numbers, so IEEE arithmetic gives the same bits everywhere.
namespace g2ll::data {
namespace {

constexpr int kScale = LabImage::kScale;
// "10^2" of the method, in squared sixteenths.
constexpr float kInitialMaxColor = 100.0F * kScale * kScale;

struct Center {
  // Color in sixteenths, position in sixteenths of a pixel.
  int l = 0, a = 0, b = 0, y = 0, x = 0;
  float max_color = kInitialMaxColor;
};

// Sums of the pixels that belong to a cluster.
struct Sums {
  int64_t l = 0, a = 0, b = 0, y = 0, x = 0, count = 0;
};

// What one pass works on, row-major.
struct Fields {
  int height = 0;
  int width = 0;
  int step = 0;
  std::vector<float> l, a, b;
  std::vector<float> nearest;  // distance to the nearest center so far
  std::vector<float> color;    // its color part
  std::vector<int32_t> labels;
};

int64_t FloorDivide(int64_t value, int64_t by) {
  const int64_t quotient = value / by;
  return quotient * by > value ? quotient - 1 : quotient;
}

std::vector<float> ToFloat(const std::vector<int16_t>& values) {
  return {values.begin(), values.end()};
}

// Squared color gradient; -1 never wins, for pixels without all four neighbors.
int64_t Gradient(const LabImage& lab, int y, int x) {
  if (y < 1 || x < 1 || y >= lab.height - 1 || x >= lab.width - 1) return -1;
  const auto at = [&](int row, int col) {
    return static_cast<size_t>(row) * static_cast<size_t>(lab.width) + static_cast<size_t>(col);
  };
  int64_t sum = 0;
  for (const std::vector<int16_t>* plane : {&lab.l, &lab.a, &lab.b}) {
    const int64_t dx = (*plane)[at(y, x + 1)] - (*plane)[at(y, x - 1)];
    const int64_t dy = (*plane)[at(y + 1, x)] - (*plane)[at(y - 1, x)];
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

std::vector<Center> StartCenters(const LabImage& lab, const std::vector<SlicSeed>& seeds) {
  std::vector<Center> centers;
  for (const SlicSeed& seed : seeds) {
    const SlicSeed at = Calmest(lab, seed);
    const size_t pixel =
        static_cast<size_t>(at.y) * static_cast<size_t>(lab.width) + static_cast<size_t>(at.x);
    Center center;
    center.l = lab.l[pixel];
    center.a = lab.a[pixel];
    center.b = lab.b[pixel];
    center.y = at.y * kScale;
    center.x = at.x * kScale;
    centers.push_back(center);
  }
  return centers;
}

// `yes` where the mask is all ones, `no` where it is zero.
float Select(int32_t mask, float yes, float no) {
  return std::bit_cast<float>((mask & std::bit_cast<int32_t>(yes)) |
                              (~mask & std::bit_cast<int32_t>(no)));
}

// One row of one center's window. Restrict pointers and masks in place of branches:
// the compiler turns this loop, which takes nearly all the time, into vector code.
void CompareRow(const float* __restrict l, const float* __restrict a, const float* __restrict b,
                float* __restrict nearest, float* __restrict color, int32_t* __restrict labels,
                int count, const float* __restrict column_distance, float row_distance,
                float center_l, float center_a, float center_b, float color_weight, int32_t label) {
  for (int i = 0; i < count; ++i) {
    const float dl = l[i] - center_l;
    const float da = a[i] - center_a;
    const float db = b[i] - center_b;
    const float color_distance = dl * dl + da * da + db * db;
    const float distance = color_distance * color_weight + (column_distance[i] + row_distance);
    // All ones where this center is closer.
    const int32_t closer = -static_cast<int32_t>(distance < nearest[i]);
    nearest[i] = Select(closer, distance, nearest[i]);
    color[i] = Select(closer, color_distance, color[i]);
    labels[i] = (closer & label) | (~closer & labels[i]);
  }
}

// Compares the pixels within `step` of a center with what they have so far.
void CompareWindow(const Center& center, int32_t label, Fields& fields,
                   std::vector<float>& column_distance) {
  const int cy = center.y / kScale;
  const int cx = center.x / kScale;
  const int top = std::max(0, cy - fields.step);
  const int bottom = std::min(fields.height, cy + fields.step + 1);
  const int left = std::max(0, cx - fields.step);
  const int right = std::min(fields.width, cx + fields.step + 1);
  const float space_weight =
      1.0F / (static_cast<float>(fields.step * fields.step) * static_cast<float>(kScale * kScale));
  const auto squared = [&](int whole, int from) {
    const auto difference = static_cast<float>(whole * kScale - from);
    return difference * difference * space_weight;
  };
  for (int x = left; x < right; ++x) {
    column_distance[static_cast<size_t>(x - left)] = squared(x, center.x);
  }
  for (int y = top; y < bottom; ++y) {
    const size_t start =
        static_cast<size_t>(y) * static_cast<size_t>(fields.width) + static_cast<size_t>(left);
    CompareRow(&fields.l[start], &fields.a[start], &fields.b[start], &fields.nearest[start],
               &fields.color[start], &fields.labels[start], right - left, column_distance.data(),
               squared(y, center.y), static_cast<float>(center.l), static_cast<float>(center.a),
               static_cast<float>(center.b), 1.0F / center.max_color, label);
  }
}

// Pixels that no window reached, at corners of unusual shapes, go to the nearest seed.
void FillUnreached(const std::vector<Center>& centers, Fields& fields) {
  for (size_t pixel = 0; pixel < fields.labels.size(); ++pixel) {
    if (fields.labels[pixel] >= 0) continue;
    const int y = static_cast<int>(pixel) / fields.width;
    const int x = static_cast<int>(pixel) % fields.width;
    int64_t nearest = std::numeric_limits<int64_t>::max();
    for (size_t k = 0; k < centers.size(); ++k) {
      const int64_t dy = int64_t{y} * kScale - centers[k].y;
      const int64_t dx = int64_t{x} * kScale - centers[k].x;
      if (dy * dy + dx * dx < nearest) {
        nearest = dy * dy + dx * dx;
        fields.labels[pixel] = static_cast<int32_t>(k);
      }
    }
  }
}

// Adds the pixels [begin, end) of row y.
void AddRun(const LabImage& lab, size_t begin, size_t end, int64_t y, Sums& sums) {
  int32_t l = 0, a = 0, b = 0;
  for (size_t i = begin; i < end; ++i) {
    l += lab.l[i];
    a += lab.a[i];
    b += lab.b[i];
  }
  const auto count = static_cast<int64_t>(end - begin);
  const auto first_x = static_cast<int64_t>(begin) - y * lab.width;
  sums.l += l;
  sums.a += a;
  sums.b += b;
  sums.y += y * count;
  sums.x += first_x * count + count * (count - 1) / 2;
  sums.count += count;
}

// Moves centers to the means of their pixels and raises the largest color distances.
// Returns whether anything changed.
bool UpdateCenters(const LabImage& lab, const Fields& fields, std::vector<Center>& centers) {
  std::vector<Sums> sums(centers.size());
  std::vector<float> max_color(centers.size());
  for (size_t k = 0; k < centers.size(); ++k) max_color[k] = centers[k].max_color;
  const auto width = static_cast<size_t>(fields.width);
  for (size_t start = 0; start < fields.labels.size(); start += width) {
    // A row is a few runs of one label each: sums stay in registers within a run.
    for (size_t begin = start; begin < start + width;) {
      const int32_t label = fields.labels[begin];
      size_t end = begin + 1;
      while (end < start + width && fields.labels[end] == label) ++end;
      const auto k = static_cast<size_t>(label);
      AddRun(lab, begin, end, static_cast<int64_t>(start / width), sums[k]);
      for (size_t i = begin; i < end; ++i) max_color[k] = std::max(max_color[k], fields.color[i]);
      begin = end;
    }
  }
  bool changed = false;
  for (size_t k = 0; k < centers.size(); ++k) {
    const Sums& sum = sums[k];
    if (sum.count == 0) continue;
    // Rounding down commutes with adding a constant, hence the shift invariance.
    const auto mean = [&](int64_t total) {
      return static_cast<int>(FloorDivide(total, sum.count));
    };
    const Center moved{mean(sum.l),          mean(sum.a),          mean(sum.b),
                       mean(sum.y * kScale), mean(sum.x * kScale), max_color[k]};
    const Center& old = centers[k];
    changed = changed || moved.l != old.l || moved.a != old.a || moved.b != old.b ||
              moved.y != old.y || moved.x != old.x || moved.max_color != old.max_color;
    centers[k] = moved;
  }
  return changed;
}

std::vector<SlicSeed> HexagonalSeeds(int height, int width, int step) {
  std::vector<SlicSeed> seeds;
  const int offset = step / 2;
  for (int row = 0; row * step + offset < height; ++row) {
    const int first = row % 2 == 0 ? offset : 2 * offset;
    for (int x = first; x < width; x += step) seeds.push_back({row * step + offset, x});
  }
  if (seeds.empty()) seeds.push_back({height / 2, width / 2});
  return seeds;
}

}  // namespace

SlicSeeds PlaceSeeds(int height, int width, int regions) {
  const double ideal = std::sqrt(static_cast<double>(height) * width / std::max(regions, 1));
  const int middle = std::max(1, static_cast<int>(std::lround(ideal)));
  SlicSeeds best;
  int best_miss = std::numeric_limits<int>::max();
  // Outwards from the ideal step, so that among equals the nearest wins.
  for (int distance = 0; distance <= middle && best_miss > 0; ++distance) {
    for (const int step : {middle - distance, middle + distance}) {
      if (step < 1) continue;
      std::vector<SlicSeed> seeds = HexagonalSeeds(height, width, step);
      const int miss = std::abs(static_cast<int>(seeds.size()) - regions);
      if (miss < best_miss) {
        best_miss = miss;
        best = {step, std::move(seeds)};
      }
    }
  }
  return best;
}

LabelMap SlicRegions(const LabImage& lab, const SlicOptions& options) {
  const SlicSeeds seeds = PlaceSeeds(lab.height, lab.width, options.regions);
  const size_t num_pixels = lab.l.size();
  Fields fields{lab.height, lab.width, seeds.step, ToFloat(lab.l), ToFloat(lab.a), ToFloat(lab.b),
                {},         {},        {}};
  fields.color.assign(num_pixels, 0.0F);
  fields.labels.assign(num_pixels, -1);
  std::vector<Center> centers = StartCenters(lab, seeds.seeds);
  std::vector<float> column_distance(static_cast<size_t>(lab.width));
  for (int pass = 0; pass < options.iterations; ++pass) {
    fields.nearest.assign(num_pixels, std::numeric_limits<float>::max());
    for (size_t k = 0; k < centers.size(); ++k) {
      CompareWindow(centers[k], static_cast<int32_t>(k), fields, column_distance);
    }
    if (pass == 0) FillUnreached(centers, fields);
    if (pass + 1 < options.iterations && !UpdateCenters(lab, fields, centers)) break;
  }
  LabelMap clusters{lab.height, lab.width, {}};
  clusters.labels.assign(fields.labels.begin(), fields.labels.end());
  const auto mean_size = static_cast<int>(num_pixels / centers.size());
  return ConnectRegions(clusters, mean_size * options.min_size_percent / 100);
}

LabelMap SlicRegions(const Image& image, const SlicOptions& options) {
  return SlicRegions(SmoothedLab(image), options);
}

}  // namespace g2ll::data
