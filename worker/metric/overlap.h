#ifndef WORKER_METRIC_OVERLAP_H_
#define WORKER_METRIC_OVERLAP_H_

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

namespace g2ll::metric {

// Pixels of one image by what prediction and truth say of them. Sums of counts
// are counts again, so ranks and tiles may be added before a score is taken.
struct OverlapCounts {
  int64_t tp = 0;  // lesion in both
  int64_t fp = 0;  // lesion in the prediction only
  int64_t fn = 0;  // lesion in the truth only
};

// 2 tp / (2 tp + fp + fn), in [0, 1]. 1 when prediction and truth are both
// empty, 0 when only one of them is (the rule of the ISIC scorer).
double Dice(const OverlapCounts& counts);

// tp / (tp + fp + fn), in [0, 1], with the same rule for empty masks.
double IoU(const OverlapCounts& counts);

// IoU, or 0 where it is below `threshold`: the ISIC 2018 ranking's threshold
// Jaccard (method section 4.3).
double ThresholdJaccard(const OverlapCounts& counts, double threshold = 0.65);

// Counts of all pixels of several images together. Dice and IoU of the sum are
// the pooled scores of some papers: usually several points above the mean over
// images and not to be compared with it. None: all counts are 0.
OverlapCounts Pool(std::span<const OverlapCounts> images);

// Where a probability exceeds 0.5, which is where its logit is above 0: a logit
// of 0 or NaN is no lesion. `logits` of any shape -> bool of that shape.
torch::Tensor IsLesion(const torch::Tensor& logits);

// Counts one image. Any value other than 0 is lesion. Both spans have one entry
// a pixel and the same length (checked).
OverlapCounts CountOverlap(std::span<const uint8_t> prediction, std::span<const uint8_t> truth);

// Counts each image of a batch. `prediction` and `truth`: [B, ...] of one shape,
// any dtype, where a value other than 0 is lesion; on any device. Returns B
// counts. The score of a data set is the mean over images of their scores,
// never the score of summed counts.
std::vector<OverlapCounts> CountOverlap(const torch::Tensor& prediction,
                                        const torch::Tensor& truth);

}  // namespace g2ll::metric

#endif  // WORKER_METRIC_OVERLAP_H_
