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

// Scores of one image, each in [0, 1] but the distance.
struct ImageScore {
  std::string id;
  double dice = 0, iou = 0;                // at network size
  double dice_native = 0, iou_native = 0;  // at the image's own size
  // IoU, or 0 where it is below 0.65, at both sizes.
  double threshold_jaccard = 0, threshold_jaccard_native = 0;
  // Pixels at the image's own size; NaN where either mask alone is empty.
  double hd95_native = 0;
  // The truth at its own size.
  int width = 0, height = 0;
  int64_t lesion_pixels = 0;
};

// How a mask comes from an image: scores may be compared only where this is equal.
struct Protocol {
  std::string tta = "none";          // `none` or `flips`
  std::string postprocess = "keep";  // `keep` or `largest_component`
  double threshold = 0.5;            // probability above which a pixel is lesion
};

// Scores of all pixels of all images taken together, as some papers print them: no
// means over images, and not to be compared with them.
struct PooledScores {
  double dice = 0, iou = 0;
  double dice_native = 0, iou_native = 0;
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

// Reduces the pictures of an overlay to the largest size that a report shows, so that one
// made of photographs need not hold them until it is written.
void ReduceToReport(Overlay& overlay);

// Everything that a report shows.
struct ReportInput {
  std::string title;
  std::string data_source;
  std::string split;   // for example `test`
  int image_size = 0;  // side of the network's input in pixels
  std::vector<ImageScore> images;
  Summary dice, iou, dice_native, iou_native;
  Protocol protocol;
  Summary threshold_jaccard, threshold_jaccard_native;
  Summary hd95_native;        // over the images that have one, in pixels
  int64_t hd95_excluded = 0;  // images left out of it: either mask alone is empty
  PooledScores pooled;
  Baseline constant_mask, centered_ellipse;
  std::string baseline_note;                        // how the two were chosen, one sentence
  std::vector<RunHistory> runs;                     // oldest first, the evaluation last
  std::optional<bool> pretrain_disjoint_from_test;  // absent: not pre-trained
  std::vector<std::string> pretrain_overlap;        // ids of images that pre-training saw
  std::string checkpoint_sha256;
  std::vector<Overlay> overlays;  // best, middle and worst images
};

// Writes report.html (one file, no network), report.json (fields of the product
// surface), per_image.csv and overlays/*.png into `directory`, which must exist
// and be empty. Errors: Unavailable (a file cannot be written; names it).
absl::Status WriteReport(const ReportInput& input, const std::string& directory);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_REPORT_H_
