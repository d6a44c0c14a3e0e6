#ifndef WORKER_EVALUATE_IMAGE_SCORER_H_
#define WORKER_EVALUATE_IMAGE_SCORER_H_

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "worker/data/image.h"
#include "worker/evaluate/protocol.h"
#include "worker/metric/overlap.h"
#include "worker/report/report.h"

namespace g2ll::evaluate {

// Scores images one by one at both sizes and sums them up (method section 4.3).
class ImageScorer {
 public:
  explicit ImageScorer(Postprocess postprocess) : postprocess_(postprocess) {}

  // `logits` [1,S,S] of one image; `network_truth` [S * S], any value other than 0 is
  // lesion; `native_truth` at the image's own size.
  void Add(const std::string& id, const torch::Tensor& logits,
           std::span<const uint8_t> network_truth, const data::LesionMask& native_truth);

  // In the order in which they were added.
  const std::vector<report::ImageScore>& images() const { return images_; }

  // Fills the images of `report`, their means with bootstrap intervals over images
  // (keyed by `seed`) and the pooled scores. After at least one Add.
  void Fill(uint64_t seed, report::ReportInput& report) const;

 private:
  Postprocess postprocess_;
  std::vector<report::ImageScore> images_;
  std::vector<metric::OverlapCounts> network_counts_;
  std::vector<metric::OverlapCounts> native_counts_;
};

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_IMAGE_SCORER_H_
