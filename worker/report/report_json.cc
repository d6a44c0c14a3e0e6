#include "worker/report/report_json.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/report/csv.h"
#include "worker/report/json_number.h"
#include "worker/report/page.h"

namespace g2ll::report {
namespace {

using Json = nlohmann::ordered_json;

Json SummaryJson(const Summary& summary) {
  return {{"mean", JsonNumber(summary.mean)},
          {"ciLow", JsonNumber(summary.ci_low)},
          {"ciHigh", JsonNumber(summary.ci_high)}};
}

Json IntervalJson(const Summary& summary) {
  return {{"ciLow", JsonNumber(summary.ci_low)}, {"ciHigh", JsonNumber(summary.ci_high)}};
}

Json BaselineJson(const Baseline& baseline) {
  return {{"dice", JsonNumber(baseline.dice)},
          {"iou", JsonNumber(baseline.iou)},
          {"description", baseline.description}};
}

Json PooledJson(const PooledScores& pooled) {
  return {{"dice", JsonNumber(pooled.dice)},
          {"iou", JsonNumber(pooled.iou)},
          {"diceNative", JsonNumber(pooled.dice_native)},
          {"iouNative", JsonNumber(pooled.iou_native)},
          {"note", "all pixels of all images together; not comparable with means over images"}};
}

Json DistanceJson(const ReportInput& input) {
  Json json = SummaryJson(input.hd95_native);
  json["unit"] = "pixels at the image's own size";
  json["excluded"] = input.hd95_excluded;
  return json;
}

Json PhasesJson(const std::vector<RunHistory>& runs) {
  Json phases = Json::array();
  for (const RunHistory& run : runs) {
    phases.push_back({{"name", PhaseName(run.kind)},
                      {"job", run.job},
                      {"seconds", JsonNumber(run.seconds)},
                      {"images", run.images},
                      {"imagesPerSecond", JsonNumber(run.images_per_second)}});
  }
  return phases;
}

// How many images pre-training saw too, and the first few of them.
Json OverlapJson(const std::vector<std::string>& ids) {
  constexpr size_t kMaxNamed = 10;
  const auto num_named = static_cast<std::ptrdiff_t>(std::min(kMaxNamed, ids.size()));
  return {{"images", ids.size()},
          {"first", std::vector<std::string>(ids.begin(), ids.begin() + num_named)}};
}

Json BaselinesJson(const ReportInput& input) {
  return {{"constantMask", BaselineJson(input.constant_mask)},
          {"centeredEllipse", BaselineJson(input.centered_ellipse)},
          {"note", input.baseline_note}};
}

Json ProtocolJson(const Protocol& protocol) {
  return {{"tta", protocol.tta},
          {"postprocess", protocol.postprocess},
          {"threshold", protocol.threshold}};
}

// Fixed point, or `NaN`: what a spreadsheet and Python both read.
std::string CsvNumber(double value) {
  return std::isnan(value) ? "NaN" : absl::StrFormat("%.6f", value);
}

}  // namespace

std::string BuildReportJson(const ReportInput& input) {
  Json disjoint;  // null: not pre-trained
  if (input.pretrain_disjoint_from_test) {
    disjoint = *input.pretrain_disjoint_from_test;
  }
  const Json report = {
      {"title", input.title},
      {"dice", SummaryJson(input.dice)},
      {"iou", SummaryJson(input.iou)},
      {"diceNative", JsonNumber(input.dice_native.mean)},
      {"iouNative", JsonNumber(input.iou_native.mean)},
      {"diceNativeCi", IntervalJson(input.dice_native)},
      {"iouNativeCi", IntervalJson(input.iou_native)},
      {"images", input.images.size()},
      {"dataSource", input.data_source},
      {"split", input.split},
      {"imageSize", input.image_size},
      {"baselines", BaselinesJson(input)},
      {"perImage", "per_image.csv"},
      {"phases", PhasesJson(input.runs)},
      {"pretrainDisjointFromTest", disjoint},
      {"pretrainOverlap", OverlapJson(input.pretrain_overlap)},
      {"checkpointSha256", input.checkpoint_sha256},
      {"protocol", ProtocolJson(input.protocol)},
      {"thresholdJaccard", SummaryJson(input.threshold_jaccard)},
      {"thresholdJaccardNative", SummaryJson(input.threshold_jaccard_native)},
      {"hd95Native", DistanceJson(input)},
      {"pooled", PooledJson(input.pooled)},
  };
  // File names may hold bytes that are not UTF-8; they must not lose the report.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string BuildPerImageCsv(const ReportInput& input) {
  std::string csv =
      "image,dice,iou,diceNative,iouNative,thresholdJaccard,thresholdJaccardNative,hd95Native,"
      "width,height,lesionPixels\n";
  for (const ImageScore& score : input.images) {
    csv += CsvField(score.id);
    for (const double value :
         {score.dice, score.iou, score.dice_native, score.iou_native, score.threshold_jaccard,
          score.threshold_jaccard_native, score.hd95_native}) {
      absl::StrAppend(&csv, ",", CsvNumber(value));
    }
    absl::StrAppend(&csv, ",", score.width, ",", score.height, ",", score.lesion_pixels, "\n");
  }
  return csv;
}

}  // namespace g2ll::report
