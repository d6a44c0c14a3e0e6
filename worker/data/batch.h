#ifndef WORKER_DATA_BATCH_H_
#define WORKER_DATA_BATCH_H_

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace g2ll::data {

// One rank's share of a pre-training step: B images, V views of each (2, or 1
// for MAE). Row order: all images of the first view, then all of the second.
struct PretrainBatch {
  // Normalised pixels, [V*B, 3, S, S] float32.
  torch::Tensor views;
  // Patches the student sees, ascending, [V*B, n_visible] int64.
  torch::Tensor visible_ids;
  // Patches hidden from the student, ascending, [V*B, n_masked] int64.
  torch::Tensor masked_ids;
  // Superpixel region of each patch, [V*B, n] int64, for pictures of masks;
  // undefined where masks follow no regions.
  torch::Tensor regions;
  // B.
  int64_t num_images = 0;
  // Data set index of each image, and the pass over the data (from 0) of this step:
  // with the view the key of everything that is random for an image.
  std::vector<int64_t> indices;
  int64_t epoch = 0;
};

// One rank's share of a fine-tuning or evaluation step.
struct SegmentationBatch {
  // Normalised pixels, [B, 3, S, S] float32.
  torch::Tensor images;
  // 1 where lesion, [B, 1, S, S] float32.
  torch::Tensor masks;
  // Data set index of each image.
  std::vector<int64_t> indices;
};

}  // namespace g2ll::data

#endif  // WORKER_DATA_BATCH_H_
