#ifndef WORKER_LOSS_KOLEO_LOSS_H_
#define WORKER_LOSS_KOLEO_LOSS_H_

#include <torch/types.h>

namespace g2ll::loss {

// Pushes the class features of a batch apart, each away from its nearest
// neighbour (KoLeo, the Kozachenko-Leonenko entropy estimate; DINOv2; method
// section 6.3): the mean over the rows of -ln(distance to the nearest other row +
// 1e-8), rows normalised to length 1.
//
// `features` [B,D], B >= 2: the student's class features of ONE view, because two
// views of an image shall stay close. Neighbours are looked for among these rows:
// for a loss that does not depend on the number of ranks they are those of all
// ranks. Scalar, float32 (float64 for float64 features) whatever the autocast
// type. Equal rows give a finite loss and no gradient. Throws c10::Error for
// another shape.
torch::Tensor KoLeoLoss(const torch::Tensor& features);

}  // namespace g2ll::loss

#endif  // WORKER_LOSS_KOLEO_LOSS_H_
