#ifndef WORKER_FINETUNE_ENCODER_FIT_H_
#define WORKER_FINETUNE_ENCODER_FIT_H_

#include <torch/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::finetune {

// Whether a position table [1,1+g^2,D] is the fixed one of sines and cosines for its
// own grid (to 0.005: files may be in half precision); false for anything else.
bool HasFixedPositions(const torch::Tensor& table);

// Makes the tensors of a saved encoder (timm's names) those of `encoder`, which may be
// one for another image size (method section 3.4): a fixed position table is the one of
// the new grid, a trained one is resized (bicubic, DINO's guard). Tensors of a
// segmentation decoder (`seg.*`) are left out.
//
// Error: FailedPrecondition, one line that starts with `what`, says which tensors
// differ (the first few with the expected and the given shape, and how many more) and
// which `model.*` keys to change.
absl::StatusOr<checkpoint::TensorMap> FitEncoder(checkpoint::TensorMap tensors,
                                                 model::VitEncoder encoder,
                                                 const std::string& what);

}  // namespace g2ll::finetune

#endif  // WORKER_FINETUNE_ENCODER_FIT_H_
