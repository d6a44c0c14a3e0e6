#ifndef WORKER_REPORT_REPORT_H_
#define WORKER_REPORT_REPORT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "worker/data/image.h"

namespace g2ll::report {

// Scores of one image, each in [0, 1].
struct ImageScore {
  std::string id;
  double dice = 0, iou = 0;                // at network size
  double dice_native = 0, iou_native = 0;  // at the image's own size
};

// A mean with its 95 % bootstrap interval.
struct Summary {
  double mean = 0, ci_low = 0, ci_high = 0;
};

// Scores of a prediction that ignores the image: means over the images at
// network size, as for the model.
struct Baseline {
  double dice = 0, iou = 0;
  std::string description;  // which one it is, for example `every pixel lesion`
};

// One earlier run or this one, with its curves: metric name -> (step, value).
struct RunHistory {
  std::string job, kind;  // kind: PretrainJob, FinetuneJob, EvaluateJob
  double seconds = 0, images_per_second = 0;
  int64_t images = 0;
  std::map<std::string, std::vector<std::pair<int64_t, double>>> series;
};

// Where a picture stands among all images by its Dice.
enum class OverlayGroup { kBest, kMiddle, kWorst };

// One picture of the report.
struct Overlay {
  OverlayGroup group = OverlayGroup::kMiddle;
  ImageScore score;
  data::Image image;            // at its own size
  data::LesionMask truth;       // the same size
  data::LesionMask prediction;  // the same size
};

// Everything that a report shows.
struct ReportInput {
  std::string title;
  std::string data_source;
  std::string split;   // for example `test`
  int image_size = 0;  // side of the network's input in pixels
  std::vector<ImageScore> images;
  Summary dice, iou, dice_native, iou_native;
  Baseline constant_mask, centered_ellipse;
  std::string baseline_note;                        // how the two were chosen, one sentence
  std::vector<RunHistory> runs;                     // oldest first, the evaluation last
  std::optional<bool> pretrain_disjoint_from_test;  // absent: not pre-trained
  std::string checkpoint_sha256;
  std::vector<Overlay> overlays;  // best, middle and worst images
};

// Writes report.html (one file, no network), report.json (fields of the product
// surface), per_image.csv and overlays/*.png into `directory`, which must exist
// and be empty. Errors: Unavailable (a file cannot be written; names it).
absl::Status WriteReport(const ReportInput& input, const std::string& directory);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_REPORT_H_
