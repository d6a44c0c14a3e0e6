#ifndef WORKER_LOSS_GRAM_LOSS_H_
#define WORKER_LOSS_GRAM_LOSS_H_

#include <torch/types.h>

namespace g2ll::loss {

// Keeps the similarities between an image's patches where an older teacher had
// them (Gram anchoring of DINOv3; method section 6.3): mean squared difference of
// the two matrices of cosines between all pairs of patches of an image.
//
// `student`, `teacher` [B,N,D]: patch tokens, without the class token. Scalar,
// float32 (float64 for float64 tokens) whatever the autocast type. No gradient
// flows to the teacher. Throws c10::Error where the shapes differ.
torch::Tensor GramLoss(const torch::Tensor& student, const torch::Tensor& teacher);

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_GRAM_LOSS_H_
