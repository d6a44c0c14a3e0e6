#include "worker/report/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/report/html.h"

namespace g2ll::report {
namespace {

// The drawing in its own units; the page scales it to the column.
constexpr double kWidth = 480, kHeight = 270;
constexpr double kLeft = 58, kRight = 12, kTop = 12, kBottom = 44;
constexpr size_t kSmoothAbove = 80;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void Add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // Never empty, so that it can be divided by.
  void Widen() {
    if (!(low <= high)) {
      low = 0;
      high = 1;
    }
    if (high - low < 1e-9 * std::max(1.0, std::abs(high))) {
      low -= 0.5;
      high += 0.5;
    }
  }
};

// Maps data to the drawing.
struct Axes {
  Range x, y;
  double X(double value) const {
    return kLeft + (value - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight);
  }
  double Y(double value) const {
    return kHeight - kBottom - (value - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom);
  }
};

double Step(const std::vector<double>& ticks) {
  return ticks.size() > 1 ? ticks[1] - ticks[0] : 1.0;
}

std::string TickLabel(double value, double step) {
  const double magnitude = std::max(std::abs(value), step);
  if (magnitude >= 1e6 || step < 1e-5) {
    return absl::StrFormat("%.3g", value);
  }
  const int digits = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
  return FormatFixed(std::abs(value) < step * 1e-6 ? 0.0 : value, digits);
}

std::string Line(std::string_view css, double x1, double y1, double x2, double y2) {
  return absl::StrFormat("<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
                         std::string(css), x1, y1, x2, y2);
}

std::string Text(std::string_view css, double x, double y, std::string_view text) {
  return absl::StrFormat("<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>", std::string(css), x,
                         y, EscapeHtml(text));
}

std::string DrawAxes(const Axes& axes, const std::string& x_label, const std::string& y_label) {
  std::string svg;
  const std::vector<double> y_ticks = AxisTicks(axes.y.low, axes.y.high, 5);
  for (const double tick : y_ticks) {
    const double y = axes.Y(tick);
    absl::StrAppend(&svg, Line("grid", kLeft, y, kWidth - kRight, y),
                    Text("tick end", kLeft - 6, y + 4, TickLabel(tick, Step(y_ticks))));
  }
  const std::vector<double> x_ticks = AxisTicks(axes.x.low, axes.x.high, 6);
  for (const double tick : x_ticks) {
    const double x = axes.X(tick);
    absl::StrAppend(&svg, Line("axis", x, kHeight - kBottom, x, kHeight - kBottom + 4),
                    Text("tick mid", x, kHeight - kBottom + 17, TickLabel(tick, Step(x_ticks))));
  }
  absl::StrAppend(&svg, Line("axis", kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom),
                  Text("label mid", (kLeft + kWidth - kRight) / 2, kHeight - 6, x_label));
  if (!y_label.empty()) {
    absl::StrAppend(&svg,
                    absl::StrFormat("<text class=\"label mid\" transform=\"translate(13 %.1f) "
                                    "rotate(-90)\">%s</text>",
                                    (kTop + kHeight - kBottom) / 2, EscapeHtml(y_label)));
  }
  return svg;
}

using Points = std::vector<std::pair<double, double>>;

bool IsFinite(const std::pair<double, double>& point) {
  return std::isfinite(point.first) && std::isfinite(point.second);
}

std::string Path(const Axes& axes, const Points& points, const std::string& css) {
  std::string d;
  bool pen_down = false;
  for (const auto& point : points) {
    if (!IsFinite(point)) {
      pen_down = false;
      continue;
    }
    absl::StrAppendFormat(&d, "%s%.1f %.1f", pen_down ? "L" : "M", axes.X(point.first),
                          axes.Y(point.second));
    pen_down = true;
  }
  return absl::StrFormat("<path class=\"%s\" d=\"%s\"/>", css, d);
}

// Mean over a window of a twenty-fifth of the points that ends at each point.
Points RunningMean(const Points& points) {
  const size_t window = std::max<size_t>(1, points.size() / 25);
  Points means;
  Points recent;
  for (const auto& point : points) {
    if (!IsFinite(point)) {
      continue;
    }
    recent.push_back(point);
    const size_t used = std::min(window, recent.size());
    double sum = 0;
    for (size_t i = recent.size() - used; i < recent.size(); ++i) {
      sum += recent[i].second;
    }
    means.emplace_back(point.first, sum / static_cast<double>(used));
  }
  return means;
}

std::string Figure(const std::string& title, const std::string& svg, const std::string& below) {
  return absl::StrFormat(
      "<figure class=\"chart\"><figcaption>%s</figcaption><svg viewBox=\"0 0 %.0f %.0f\" "
      "role=\"img\" aria-label=\"%s\">%s</svg>%s</figure>\n",
      EscapeHtml(title), kWidth, kHeight, EscapeHtml(title), svg, below);
}

std::string LegendEntry(size_t color, const ChartSeries& series) {
  std::string last = "-";
  for (auto it = series.points.rbegin(); it != series.points.rend(); ++it) {
    if (IsFinite(*it)) {
      const double size = std::abs(it->second);
      // Three digits after the point say nothing of a learning rate.
      last = size > 0 && size < 0.01 ? absl::StrFormat("%.2g", it->second)
                                     : TickLabel(it->second, size < 100 ? 0.001 : 1);
      break;
    }
  }
  return absl::StrFormat("<span><i class=\"key k%d\"></i>%s <b>%s</b></span>", color,
                         EscapeHtml(series.name), last);
}

}  // namespace

std::vector<double> AxisTicks(double low, double high, int count) {
  const double raw = (high - low) / std::max(1, count);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw * 0.999) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  const int64_t first = static_cast<int64_t>(std::ceil(low / step - 1e-9));
  const int64_t last = static_cast<int64_t>(std::floor(high / step + 1e-9));
  for (int64_t i = first; i <= last; ++i) {
    ticks.push_back(static_cast<double>(i) * step);
  }
  return ticks;
}

std::string DrawLineChart(const LineChart& chart) {
  Axes axes;
  bool smoothed = false;
  if (chart.y_range) {
    axes.y.Add(chart.y_range->first);
    axes.y.Add(chart.y_range->second);
  }
  for (const ChartSeries& series : chart.series) {
    smoothed |= series.points.size() > kSmoothAbove;
    for (const auto& point : series.points) {
      if (IsFinite(point)) {
        axes.x.Add(point.first);
        axes.y.Add(point.second);
      }
    }
  }
  axes.x.Widen();
  axes.y.Widen();
  std::string svg = DrawAxes(axes, chart.x_label, "");
  std::string legend;
  size_t color = 0;
  for (const ChartSeries& series : chart.series) {
    if (series.points.empty()) {
      continue;
    }
    const bool thin = series.points.size() > kSmoothAbove;
    const std::string css = absl::StrCat("s", color);
    absl::StrAppend(&svg, Path(axes, series.points, absl::StrCat(css, thin ? " raw" : " curve")));
    if (thin) {
      absl::StrAppend(&svg, Path(axes, RunningMean(series.points), absl::StrCat(css, " curve")));
    }
    absl::StrAppend(&legend, LegendEntry(color, series));
    ++color;
  }
  if (smoothed) {
    absl::StrAppend(&legend, "<span class=\"hint\">thin: as measured, thick: running mean</span>");
  }
  const std::string note = chart.note.empty() ? "" : Element("p", "remark", EscapeHtml(chart.note));
  return Figure(chart.title, svg, absl::StrCat(Element("p", "legend", legend), note));
}

std::string DrawHistogram(const Histogram& histogram) {
  std::vector<int> counts(static_cast<size_t>(std::max(1, histogram.bins)));
  const double width = (histogram.high - histogram.low) / static_cast<double>(counts.size());
  for (const double value : histogram.values) {
    // The nudge keeps a value such as 0.15 out of the bin that ends there.
    const double bin = std::floor((value - histogram.low) / width + 1e-9);
    if (std::isfinite(bin)) {
      counts[static_cast<size_t>(std::clamp(bin, 0.0, static_cast<double>(counts.size() - 1)))]++;
    }
  }
  Axes axes;
  axes.x = {histogram.low, histogram.high};
  // At least 4, so that ticks are whole numbers.
  axes.y = {0, 1.05 * std::max(4, *std::max_element(counts.begin(), counts.end()))};
  std::string svg = DrawAxes(axes, histogram.x_label, histogram.y_label);
  for (size_t i = 0; i < counts.size(); ++i) {
    const double left = histogram.low + width * static_cast<double>(i);
    const double top = axes.Y(counts[i]);
    absl::StrAppendFormat(
        &svg, "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
        axes.X(left) + 0.75, top, axes.X(left + width) - axes.X(left) - 1.5, axes.Y(0) - top);
  }
  const double x = axes.X(std::clamp(histogram.marker, histogram.low, histogram.high));
  const bool on_right = x > kWidth / 2;
  absl::StrAppend(&svg, Line("marker", x, kTop, x, kHeight - kBottom),
                  Text(on_right ? "label end" : "label", on_right ? x - 6 : x + 6, kTop + 10,
                       histogram.marker_label));
  return Figure(histogram.title, svg, "");
}

}  // namespace g2ll::report
