#ifndef WORKER_REPORT_CHART_H_
#define WORKER_REPORT_CHART_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace g2ll::report {

// One curve; points in order of x. Points that are not finite break the line.
struct ChartSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

// Curves over one pair of axes.
struct LineChart {
  std::string title;
  std::string x_label;
  // At most 4, coloured in order; series without points are left out.
  std::vector<ChartSeries> series;
  // The y axis holds at least this range; absent: what the curves need.
  std::optional<std::pair<double, double>> y_range;
  std::string note = {};  // a remark under the curves; may be empty
};

// Counts of values in equal bins.
struct Histogram {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<double> values;
  double low = 0, high = 1;
  int bins = 20;
  double marker = 0;         // a vertical line, for example the mean
  std::string marker_label;  // text beside it
};

// A `<figure>` with an inline SVG and a legend that holds each curve's last value.
// Curves of more than 80 points are drawn thin, with their running mean on top.
std::string DrawLineChart(const LineChart& chart);

// A `<figure>` with an inline SVG.
std::string DrawHistogram(const Histogram& histogram);

// Round numbers (1, 2 or 5 times a power of ten apart) inside [low, high], about
// `count` of them, ascending. Needs low < high, both finite.
std::vector<double> AxisTicks(double low, double high, int count);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_CHART_H_
