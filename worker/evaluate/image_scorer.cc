#include "worker/evaluate/image_scorer.h"

#include <cmath>

#include "worker/evaluate/segmenter.h"
#include "worker/metric/bootstrap.h"
#include "worker/metric/hausdorff.h"

namespace g2ll::evaluate {
namespace {

// The mean of one score; images that have none (NaN) are left out.
report::Summary Summarize(const std::vector<report::ImageScore>& images,
                          double report::ImageScore::*field, uint64_t seed) {
  std::vector<double> values;
  for (const report::ImageScore& score : images) {
    if (!std::isnan(score.*field)) {
      values.push_back(score.*field);
    }
  }
  if (values.empty()) {
    return {std::nan(""), std::nan(""), std::nan("")};
  }
  const metric::Interval interval = metric::BootstrapMean(values, {.seed = seed});
  return {interval.mean, interval.low, interval.high};
}

}  // namespace

void ImageScorer::Add(const std::string& id, const torch::Tensor& logits,
                      std::span<const uint8_t> network_truth,
                      const data::LesionMask& native_truth) {
  const data::LesionMask network = Segmenter::MaskOf(
      logits, static_cast<int>(logits.size(1)), static_cast<int>(logits.size(2)), postprocess_);
  const data::LesionMask native =
      Segmenter::MaskOf(logits, native_truth.height, native_truth.width, postprocess_);
  const metric::OverlapCounts at_network = metric::CountOverlap(network.pixels, network_truth);
  const metric::OverlapCounts at_native = metric::CountOverlap(native.pixels, native_truth.pixels);

  report::ImageScore score;
  score.id = id;
  score.dice = metric::Dice(at_network);
  score.iou = metric::IoU(at_network);
  score.dice_native = metric::Dice(at_native);
  score.iou_native = metric::IoU(at_native);
  score.threshold_jaccard = metric::ThresholdJaccard(at_network);
  score.threshold_jaccard_native = metric::ThresholdJaccard(at_native);
  score.hd95_native = metric::Hausdorff95(native.pixels, native_truth.pixels, native_truth.height,
                                          native_truth.width);
  score.width = native_truth.width;
  score.height = native_truth.height;
  score.lesion_pixels = at_native.tp + at_native.fn;
  images_.push_back(score);
  network_counts_.push_back(at_network);
  native_counts_.push_back(at_native);
}

void ImageScorer::Fill(uint64_t seed, report::ReportInput& report) const {
  using Score = report::ImageScore;
  report.images = images_;
  report.dice = Summarize(images_, &Score::dice, seed);
  report.iou = Summarize(images_, &Score::iou, seed);
  report.dice_native = Summarize(images_, &Score::dice_native, seed);
  report.iou_native = Summarize(images_, &Score::iou_native, seed);
  report.threshold_jaccard = Summarize(images_, &Score::threshold_jaccard, seed);
  report.threshold_jaccard_native = Summarize(images_, &Score::threshold_jaccard_native, seed);
  report.hd95_native = Summarize(images_, &Score::hd95_native, seed);
  report.hd95_excluded = 0;
  for (const Score& score : images_) {
    report.hd95_excluded += std::isnan(score.hd95_native) ? 1 : 0;
  }
  const metric::OverlapCounts network = metric::Pool(network_counts_);
  const metric::OverlapCounts native = metric::Pool(native_counts_);
  report.pooled = {metric::Dice(network), metric::IoU(network), metric::Dice(native),
                   metric::IoU(native)};
}

}  // namespace g2ll::evaluate
