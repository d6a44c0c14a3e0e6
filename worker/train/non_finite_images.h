#ifndef WORKER_TRAIN_NON_FINITE_IMAGES_H_
#define WORKER_TRAIN_NON_FINITE_IMAGES_H_

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace g2ll::train {

// Name of an image by its data set index; empty: the index itself.
using ImageName = std::function<std::string(int64_t index)>;

// Names the first few images of a batch with a pixel that is not finite, for
// TrainTask::NonFiniteInput: `image A, image B`; empty: none has one.
//
// `pixels` [V*B,...], rows: all B images of a first view, then of the next;
// `indices`: data set index of each of the B images.
std::string NonFiniteImages(const torch::Tensor& pixels, std::span<const int64_t> indices,
                            const ImageName& name);

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_NON_FINITE_IMAGES_H_
