#ifndef WORKER_LOSS_RECONSTRUCTION_LOSS_H_
#define WORKER_LOSS_RECONSTRUCTION_LOSS_H_

#include <torch/types.h>

namespace g2ll::loss {

// Images [B,C,H,W] -> patches [B,n,patch*patch*C], row-major; inside a patch the
// order is (row, column, channel), channel fastest.
torch::Tensor Patchify(const torch::Tensor& images, int patch);

// The inverse for square images of `channels` channels.
torch::Tensor Unpatchify(const torch::Tensor& patches, int patch, int channels);

// Each patch [...,P] minus its mean and divided by the root of its unbiased variance +
// 1e-6: what the decoder should predict with `norm_pix`.
torch::Tensor NormalizePatches(const torch::Tensor& patches);

// The pixels that predictions [...,P] of the normalised `patches` stand for.
torch::Tensor UndoNormalization(const torch::Tensor& predictions, const torch::Tensor& patches);

// What a pixel's error counts for.
enum class Distance {
  kSquared,   // paper Eq. 3
  kAbsolute,  // SimMIM
};

// Mean squared (or absolute) error over the masked patches (paper 2.1, Eq. 3): mean
// over a patch's values, then over all masked patches of the batch. Scalar, float32
// (float64 for float64 predictions) whatever the autocast type.
//
// `prediction` [B,n,patch*patch*3], `images` [B,3,S,S], `masked_ids` [B,k] int64,
// k >= 1 (the patches that were REMOVED). The gradient of the other patches'
// predictions is exactly 0.
torch::Tensor ReconstructionLoss(const torch::Tensor& prediction, const torch::Tensor& images,
                                 const torch::Tensor& masked_ids, int patch, bool norm_pix,
                                 Distance distance = Distance::kSquared);

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_RECONSTRUCTION_LOSS_H_
