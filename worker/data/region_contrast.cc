#include "worker/data/region_contrast.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/data/lab.h"

namespace g2ll::data {
namespace {

using Color = std::array<double, 3>;

// Mean color of the pixels added so far. Sums are whole numbers, so their order is no matter.
class ColorMean {
 public:
  void Add(const LabImage& lab, size_t pixel) {
    sums_[0] += lab.l[pixel];
    sums_[1] += lab.a[pixel];
    sums_[2] += lab.b[pixel];
    ++count_;
  }
  Color mean() const {
    const double scale = static_cast<double>(std::max<int64_t>(count_, 1)) * LabImage::kScale;
    return {static_cast<double>(sums_[0]) / scale, static_cast<double>(sums_[1]) / scale,
            static_cast<double>(sums_[2]) / scale};
  }

 private:
  std::array<int64_t, 3> sums_{};
  int64_t count_ = 0;
};

double Distance(const Color& a, const Color& b) {
  const double l = a[0] - b[0];
  const double x = a[1] - b[1];
  const double y = a[2] - b[2];
  return std::sqrt(l * l + x * x + y * y);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2.0;
}

Color BorderColor(const std::vector<ColorMean>& patches, const mask::PatchGrid& grid) {
  std::array<std::vector<double>, 3> channels;
  for (int patch = 0; patch < grid.num_patches(); ++patch) {
    const int row = patch / grid.cols;
    const int col = patch % grid.cols;
    if (row > 0 && col > 0 && row + 1 < grid.rows && col + 1 < grid.cols) continue;
    const Color color = patches[static_cast<size_t>(patch)].mean();
    for (size_t c = 0; c < 3; ++c) channels[c].push_back(color[c]);
  }
  return {Median(channels[0]), Median(channels[1]), Median(channels[2])};
}

}  // namespace

void MeasureContrast(const Image& image, const LabelMap& pixels, int patch,
                     mask::RegionMap& regions) {
  const mask::PatchGrid& grid = regions.patches.grid;
  const LabImage lab = SmoothedLab(image);
  std::vector<ColorMean> patches(static_cast<size_t>(grid.num_patches()));
  std::vector<ColorMean> whole(regions.traits.size());
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const auto pixel =
          static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x);
      patches[static_cast<size_t>(y / patch * grid.cols + x / patch)].Add(lab, pixel);
      whole[pixels.labels[pixel]].Add(lab, pixel);
    }
  }
  const Color border = BorderColor(patches, grid);
  std::vector<int> counts(regions.traits.size(), 0);
  for (mask::RegionTraits& traits : regions.traits) traits.contrast = 0.0;
  for (size_t i = 0; i < patches.size(); ++i) {
    const auto region = static_cast<size_t>(regions.patches.labels[i]);
    regions.traits[region].contrast += Distance(patches[i].mean(), border);
    ++counts[region];
  }
  for (size_t region = 0; region < counts.size(); ++region) {
    double& contrast = regions.traits[region].contrast;
    contrast =
        counts[region] > 0 ? contrast / counts[region] : Distance(whole[region].mean(), border);
  }
}

}  // namespace g2ll::data
