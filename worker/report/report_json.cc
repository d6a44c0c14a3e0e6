#include "worker/report/report_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "worker/report/page.h"

namespace g2ll::report {
namespace {

using Json = nlohmann::ordered_json;

Json Number(double value) {
  if (std::isnan(value)) {
    return "NaN";
  }
  if (std::isinf(value)) {
    return value > 0 ? "Infinity" : "-Infinity";
  }
  return value;
}

Json SummaryJson(const Summary& summary) {
  return {{"mean", Number(summary.mean)},
          {"ciLow", Number(summary.ci_low)},
          {"ciHigh", Number(summary.ci_high)}};
}

Json IntervalJson(const Summary& summary) {
  return {{"ciLow", Number(summary.ci_low)}, {"ciHigh", Number(summary.ci_high)}};
}

Json BaselineJson(const Baseline& baseline) {
  return {{"dice", Number(baseline.dice)},
          {"iou", Number(baseline.iou)},
          {"description", baseline.description}};
}

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' ? "\"\"" : std::string(1, c);
  }
  return quoted + "\"";
}

}  // namespace

std::string BuildReportJson(const ReportInput& input) {
  Json phases = Json::array();
  for (const RunHistory& run : input.runs) {
    phases.push_back({{"name", PhaseName(run.kind)},
                      {"job", run.job},
                      {"seconds", Number(run.seconds)},
                      {"images", run.images},
                      {"imagesPerSecond", Number(run.images_per_second)}});
  }
  Json disjoint;  // null: not pre-trained
  if (input.pretrain_disjoint_from_test) {
    disjoint = *input.pretrain_disjoint_from_test;
  }
  const Json report = {
      {"title", input.title},
      {"dice", SummaryJson(input.dice)},
      {"iou", SummaryJson(input.iou)},
      {"diceNative", Number(input.dice_native.mean)},
      {"iouNative", Number(input.iou_native.mean)},
      {"diceNativeCi", IntervalJson(input.dice_native)},
      {"iouNativeCi", IntervalJson(input.iou_native)},
      {"images", input.images.size()},
      {"dataSource", input.data_source},
      {"split", input.split},
      {"imageSize", input.image_size},
      {"baselines",
       {{"constantMask", BaselineJson(input.constant_mask)},
        {"centeredEllipse", BaselineJson(input.centered_ellipse)},
        {"note", input.baseline_note}}},
      {"perImage", "per_image.csv"},
      {"phases", phases},
      {"pretrainDisjointFromTest", disjoint},
      {"checkpointSha256", input.checkpoint_sha256},
  };
  // File names may hold bytes that are not UTF-8; they must not lose the report.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string BuildPerImageCsv(const ReportInput& input) {
  std::string csv = "image,dice,iou,diceNative,iouNative\n";
  for (const ImageScore& score : input.images) {
    absl::StrAppendFormat(&csv, "%s,%.6f,%.6f,%.6f,%.6f\n", CsvField(score.id), score.dice,
                          score.iou, score.dice_native, score.iou_native);
  }
  return csv;
}

}  // namespace g2ll::report
