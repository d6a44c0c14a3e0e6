#include "worker/metric/hausdorff.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "worker/metric/quantile.h"

namespace g2ll::metric {
namespace {

// The outlines of both lesions within the smallest box that holds them: distances
// between them need nothing outside it.
struct Outlines {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> prediction;  // [height * width], 1 on the outline
  std::vector<uint8_t> truth;
};

struct Box {
  int top = 0, left = 0, bottom = -1, right = -1;  // the last ones included
};

class View {
 public:
  View(std::span<const uint8_t> pixels, int height, int width)
      : pixels_(pixels), height_(height), width_(width) {}

  bool IsLesion(int y, int x) const {
    return y >= 0 && x >= 0 && y < height_ && x < width_ &&
           pixels_[static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)] !=
               0;
  }
  bool IsOutline(int y, int x) const {
    return IsLesion(y, x) &&
           !(IsLesion(y - 1, x) && IsLesion(y + 1, x) && IsLesion(y, x - 1) && IsLesion(y, x + 1));
  }

 private:
  std::span<const uint8_t> pixels_;
  int height_;
  int width_;
};

Box BoundingBox(std::span<const uint8_t> prediction, std::span<const uint8_t> truth, int height,
                int width) {
  Box box{height, width, -1, -1};
  size_t i = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x, ++i) {
      if (prediction[i] == 0 && truth[i] == 0) {
        continue;
      }
      box.top = std::min(box.top, y);
      box.bottom = y;
      box.left = std::min(box.left, x);
      box.right = std::max(box.right, x);
    }
  }
  return box;
}

Outlines FindOutlines(const View& prediction, const View& truth, const Box& box) {
  Outlines outlines;
  outlines.height = box.bottom - box.top + 1;
  outlines.width = box.right - box.left + 1;
  for (int y = box.top; y <= box.bottom; ++y) {
    for (int x = box.left; x <= box.right; ++x) {
      outlines.prediction.push_back(prediction.IsOutline(y, x));
      outlines.truth.push_back(truth.IsOutline(y, x));
    }
  }
  return outlines;
}

// For every pixel the distance to the nearest marked one of its column; at least
// height + width where the column has none.
std::vector<int32_t> ColumnDistances(const std::vector<uint8_t>& marked, int height, int width) {
  const size_t columns = static_cast<size_t>(width);
  const int32_t far = height + width;
  std::vector<int32_t> distances(marked.size());
  for (size_t i = 0; i < marked.size(); ++i) {
    const int32_t above = i < columns ? far : distances[i - columns] + 1;
    distances[i] = marked[i] != 0 ? 0 : std::min(above, far);
  }
  for (size_t i = marked.size(); i-- > columns;) {
    distances[i - columns] = std::min(distances[i - columns], distances[i] + 1);
  }
  return distances;
}

// Squared distances along one row, from the distances within its columns: the lower
// envelope of one parabola a column (Meijster, Roerdink and Hesselink 2000).
class RowEnvelope {
 public:
  explicit RowEnvelope(int width)
      : apex_(static_cast<size_t>(width)), from_(static_cast<size_t>(width)) {}

  // `columns`: [width], one row of ColumnDistances. Fills `squares` [width].
  void Run(std::span<const int32_t> columns, std::vector<int64_t>& squares) {
    const int64_t width = static_cast<int64_t>(columns.size());
    const auto value = [&columns](int64_t x, int64_t apex) {
      const int64_t down = columns[static_cast<size_t>(apex)];
      return (x - apex) * (x - apex) + down * down;
    };
    size_t last = 0;
    apex_[0] = 0;
    from_[0] = 0;
    bool is_empty = false;
    for (int64_t x = 1; x < width; ++x) {
      while (!is_empty && value(from_[last], apex_[last]) > value(from_[last], x)) {
        is_empty = last == 0;
        last -= is_empty ? 0 : 1;
      }
      if (is_empty) {
        apex_[0] = x;
        from_[0] = 0;
        is_empty = false;
        continue;
      }
      const int64_t a = apex_[last];
      const int64_t here = columns[static_cast<size_t>(x)];
      const int64_t there = columns[static_cast<size_t>(a)];
      // First place where the new parabola lies below the last one. Rounded down
      // also where the numerator is negative.
      const int64_t numerator = x * x - a * a + here * here - there * there;
      const int64_t meets = 1 + static_cast<int64_t>(std::floor(static_cast<double>(numerator) /
                                                                static_cast<double>(2 * (x - a))));
      if (meets < width) {
        ++last;
        apex_[last] = x;
        from_[last] = meets;
      }
    }
    for (int64_t x = width - 1; x >= 0; --x) {
      squares[static_cast<size_t>(x)] = value(x, apex_[last]);
      last -= x == from_[last] && last > 0 ? 1 : 0;
    }
  }

 private:
  std::vector<int64_t> apex_;  // columns of the envelope's parabolas
  std::vector<int64_t> from_;  // where each begins to be the lowest
};

// Appends the distance to the nearest pixel of `to` for every pixel of `from`.
void AppendDistances(const std::vector<uint8_t>& from, const std::vector<uint8_t>& to, int height,
                     int width, std::vector<double>& distances) {
  const std::vector<int32_t> columns = ColumnDistances(to, height, width);
  const size_t row_size = static_cast<size_t>(width);
  RowEnvelope envelope(width);
  std::vector<int64_t> squares(row_size);
  for (size_t begin = 0; begin < from.size(); begin += row_size) {
    envelope.Run(std::span(columns).subspan(begin, row_size), squares);
    for (size_t x = 0; x < row_size; ++x) {
      if (from[begin + x] != 0) {
        distances.push_back(std::sqrt(static_cast<double>(squares[x])));
      }
    }
  }
}

bool HasLesion(std::span<const uint8_t> mask) {
  return std::any_of(mask.begin(), mask.end(), [](uint8_t value) { return value != 0; });
}

}  // namespace

double Hausdorff95(std::span<const uint8_t> prediction, std::span<const uint8_t> truth, int height,
                   int width) {
  const size_t pixels = static_cast<size_t>(height) * static_cast<size_t>(width);
  TORCH_CHECK(prediction.size() == pixels && truth.size() == pixels, "masks of ", prediction.size(),
              " and ", truth.size(), " pixels are not ", height, "x", width);
  const bool has_prediction = HasLesion(prediction);
  if (has_prediction != HasLesion(truth)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (!has_prediction) {
    return 0;
  }
  const Outlines outlines =
      FindOutlines(View(prediction, height, width), View(truth, height, width),
                   BoundingBox(prediction, truth, height, width));
  std::vector<double> distances;
  AppendDistances(outlines.prediction, outlines.truth, outlines.height, outlines.width, distances);
  AppendDistances(outlines.truth, outlines.prediction, outlines.height, outlines.width, distances);
  std::sort(distances.begin(), distances.end());
  return Quantile(distances, 0.95);
}

}  // namespace g2ll::metric
