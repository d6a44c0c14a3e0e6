#include "worker/data/lab.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <memory>

namespace g2ll::data {
namespace {

// A channel before the curve: sixteen times its mean.
constexpr int kChannelOne = 16;
constexpr int kChannelMax = 255 * kChannelOne;
// Linear light, XYZ and f of the Lab formula: 1.0 is 2^14. Whatever is multiplied
// fits 16 bits, which every processor multiplies eight at a time.
constexpr int kBits = 14;
constexpr int kOne = 1 << kBits;
constexpr int kMatrixBits = 15;

// Rows of the sRGB -> XYZ matrix, each divided by the white point and scaled to
// add up to 2^15, so that grey has a = b = 0 exactly.
struct MatrixRow {
  int16_t red, green, blue;
};
constexpr MatrixRow kX = {14220, 12328, 6220};
constexpr MatrixRow kY = {6969, 23434, 2365};
constexpr MatrixRow kZ = {582, 3587, 28599};

struct Tables {
  std::array<int16_t, kChannelMax + 1> linear;
  std::array<int16_t, kOne + 1> root;
};

// The two curved functions as tables of whole numbers: rounding hides the last bits
// in which maths libraries differ.
std::unique_ptr<const Tables> MakeTables() {
  auto tables = std::make_unique<Tables>();
  for (int i = 0; i <= kChannelMax; ++i) {
    const double value = static_cast<double>(i) / kChannelMax;
    const double light = value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
    tables->linear[static_cast<size_t>(i)] = static_cast<int16_t>(std::lround(light * kOne));
  }
  for (int i = 0; i <= kOne; ++i) {
    const double value = static_cast<double>(i) / kOne;
    constexpr double kKnee = 216.0 / 24389.0;
    const double root = value > kKnee ? std::cbrt(value) : (24389.0 / 27.0 * value + 16.0) / 116.0;
    tables->root[static_cast<size_t>(i)] = static_cast<int16_t>(std::lround(root * kOne));
  }
  return tables;
}

// Inlined into one function for each kind of vectors. Whole numbers: all give the same.
#define G2LL_INLINE [[gnu::always_inline]] inline

// Three planes of one row. Tables are looked up value by value; what lies between is
// arithmetic on whole planes, which the compiler turns into vector code.
struct Planes {
  explicit Planes(int width)
      : first(static_cast<size_t>(width)), second(first.size()), third(first.size()) {}
  std::vector<int16_t> first, second, third;
};

// The row's channels, each 16 times its value, as they lie in the image.
G2LL_INLINE void CopyChannels(const Image& image, int y, std::vector<uint16_t>& channels) {
  const size_t count = channels.size();
  const uint8_t* __restrict here = image.pixels.data() + static_cast<size_t>(y) * count;
  uint16_t* __restrict out = channels.data();
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<uint16_t>(here[i] * kChannelOne);
}

// The same of the smoothed image. `sums` has room for a pixel more on either side.
G2LL_INLINE void SmoothChannels(const Image& image, int y, std::vector<uint16_t>& sums,
                                std::vector<uint16_t>& channels) {
  const size_t count = channels.size();
  const uint8_t* __restrict here = image.pixels.data() + static_cast<size_t>(y) * count;
  const uint8_t* __restrict above = y > 0 ? here - count : here;
  const uint8_t* __restrict below = y + 1 < image.height ? here + count : here;
  uint16_t* __restrict column = sums.data() + 3;
  for (size_t i = 0; i < count; ++i) {
    column[i] = static_cast<uint16_t>(above[i] + 2 * here[i] + below[i]);
  }
  std::copy_n(column, 3, column - 3);
  std::copy_n(column + count - 3, 3, column + count);
  uint16_t* __restrict out = channels.data();
  const uint16_t* __restrict left = sums.data();
  for (size_t i = 0; i < count; ++i) {
    out[i] = static_cast<uint16_t>(left[i] + 2 * left[i + 3] + left[i + 6]);
  }
}

G2LL_INLINE void ToLight(const Tables& tables, const std::vector<uint16_t>& channels,
                         Planes& light) {
  const uint16_t* __restrict in = channels.data();
  for (size_t x = 0; x < light.first.size(); ++x) {
    light.first[x] = tables.linear[in[3 * x]];
    light.second[x] = tables.linear[in[3 * x + 1]];
    light.third[x] = tables.linear[in[3 * x + 2]];
  }
}

// One of X, Y, Z, rounded to nearest.
G2LL_INLINE void Combine(const Planes& light, const MatrixRow& weights, std::vector<int16_t>& out) {
  const int16_t* __restrict red = light.first.data();
  const int16_t* __restrict green = light.second.data();
  const int16_t* __restrict blue = light.third.data();
  int16_t* __restrict sums = out.data();
  const size_t count = out.size();
  for (size_t x = 0; x < count; ++x) {
    const int sum = weights.red * red[x] + weights.green * green[x] + weights.blue * blue[x];
    sums[x] = static_cast<int16_t>((sum + (1 << (kMatrixBits - 1))) >> kMatrixBits);
  }
}

G2LL_INLINE void ToRoots(const Tables& tables, const Planes& xyz, Planes& roots) {
  const int16_t* __restrict x_in = xyz.first.data();
  const int16_t* __restrict y_in = xyz.second.data();
  const int16_t* __restrict z_in = xyz.third.data();
  int16_t* __restrict x_out = roots.first.data();
  int16_t* __restrict y_out = roots.second.data();
  int16_t* __restrict z_out = roots.third.data();
  const size_t count = roots.first.size();
  for (size_t i = 0; i < count; ++i) {
    x_out[i] = tables.root[static_cast<size_t>(x_in[i])];
    y_out[i] = tables.root[static_cast<size_t>(y_in[i])];
    z_out[i] = tables.root[static_cast<size_t>(z_in[i])];
  }
}

// value * factor in sixteenths, rounded to nearest.
G2LL_INLINE int16_t Scaled(int16_t value, int16_t factor) {
  return static_cast<int16_t>((value * factor + (1 << (kBits - 1))) >> kBits);
}

G2LL_INLINE void ToLab(const Planes& roots, int16_t* __restrict l, int16_t* __restrict a,
                       int16_t* __restrict b) {
  const int16_t* __restrict fx = roots.first.data();
  const int16_t* __restrict fy = roots.second.data();
  const int16_t* __restrict fz = roots.third.data();
  const size_t count = roots.first.size();
  constexpr int16_t kScale = LabImage::kScale;
  for (size_t x = 0; x < count; ++x) {
    l[x] = static_cast<int16_t>(Scaled(fy[x], 116 * kScale) - 16 * kScale);
    a[x] = Scaled(static_cast<int16_t>(fx[x] - fy[x]), 500 * kScale);
    b[x] = Scaled(static_cast<int16_t>(fy[x] - fz[x]), 200 * kScale);
  }
}

// What a row is worked out in.
struct RowBuffers {
  explicit RowBuffers(int width)
      : channels(static_cast<size_t>(width) * 3),
        sums(channels.size() + 6),
        light(width),
        xyz(width),
        roots(width) {}
  std::vector<uint16_t> channels;
  std::vector<uint16_t> sums;
  Planes light, xyz, roots;
};

G2LL_INLINE void ConvertRow(const Tables& tables, const Image& image, int y, bool smooth,
                            RowBuffers& row, LabImage& lab) {
  if (smooth) {
    SmoothChannels(image, y, row.sums, row.channels);
  } else {
    CopyChannels(image, y, row.channels);
  }
  ToLight(tables, row.channels, row.light);
  Combine(row.light, kX, row.xyz.first);
  Combine(row.light, kY, row.xyz.second);
  Combine(row.light, kZ, row.xyz.third);
  ToRoots(tables, row.xyz, row.roots);
  const size_t start = static_cast<size_t>(y) * static_cast<size_t>(image.width);
  ToLab(row.roots, &lab.l[start], &lab.a[start], &lab.b[start]);
}

using RowFunction = void (*)(const Tables& tables, const Image& image, int y, bool smooth,
                             RowBuffers& row, LabImage& lab);

void ConvertRowPlain(const Tables& tables, const Image& image, int y, bool smooth, RowBuffers& row,
                     LabImage& lab) {
  ConvertRow(tables, image, y, smooth, row, lab);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void ConvertRowAvx2(const Tables& tables, const Image& image, int y,
                                            bool smooth, RowBuffers& row, LabImage& lab) {
  ConvertRow(tables, image, y, smooth, row, lab);
}
#endif

RowFunction FastestRowFunction() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return ConvertRowAvx2;
#endif
  return ConvertRowPlain;
}

LabImage Convert(const Image& image, bool smooth) {
  static const std::unique_ptr<const Tables> tables = MakeTables();
  const RowFunction convert_row = FastestRowFunction();
  const size_t num_pixels = static_cast<size_t>(image.height) * static_cast<size_t>(image.width);
  LabImage lab{image.height, image.width, std::vector<int16_t>(num_pixels),
               std::vector<int16_t>(num_pixels), std::vector<int16_t>(num_pixels)};
  RowBuffers row(image.width);
  for (int y = 0; y < image.height; ++y) convert_row(*tables, image, y, smooth, row, lab);
  return lab;
}

}  // namespace

LabImage SmoothedLab(const Image& image) { return Convert(image, true); }

LabImage PlainLab(const Image& image) { return Convert(image, false); }

}  // namespace g2ll::data
