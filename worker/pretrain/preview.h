#ifndef WORKER_PRETRAIN_PREVIEW_H_
#define WORKER_PRETRAIN_PREVIEW_H_

#include <torch/types.h>

#include "worker/data/batch.h"

namespace g2ll::pretrain {

// What a trained student made of a few images, for pictures in a report.
struct StudentPreview {
  // Views as the loader made them, masks as the student got them.
  data::PretrainBatch batch;
  // False: the student saw all patches.
  bool is_masked = false;
  // The views with the decoder's output in place of masked patches, scaled like the
  // views, [V*B,3,S,S] float32 on the CPU; undefined without a decoder. Where the
  // decoder predicts normalised patches each gets the mean and the deviation of the
  // masked patch back, which the network does not know.
  torch::Tensor reconstructions;
};

// Views with the predictions [R,n,p*p*3] at `masked_ids` [R,m] in place of their
// patches; `norm_pix` as in loss::NormalizePatches. [R,3,S,S] float32.
torch::Tensor FillMasked(const torch::Tensor& views, const torch::Tensor& predictions,
                         const torch::Tensor& masked_ids, int patch, bool norm_pix);

}  // namespace g2ll::pretrain

#endif  // WORKER_PRETRAIN_PREVIEW_H_
