#ifndef WORKER_DATA_CUTMIX_H_
#define WORKER_DATA_CUTMIX_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "worker/data/image.h"
#include "worker/data/resize.h"
#include "worker/random/rng.h"

namespace g2ll::data {

// Which rectangle of which image is pasted over another.
struct CutMix {
  int64_t partner = 0;  // data set index
  PixelBox box;         // the same place in both
};

// Draws whether an image of `height` x `width` is pasted over, and with what (method
// section 6.2): the partner is any other image of the global batch, the box has an area
// uniform in [0.02, 0.4] of the image and an aspect ratio log-uniform in [0.3, 1/0.3],
// cut to the image. None with probability 1 - `probability` and in a batch of one.
//
// `key` names the image by (seed, epoch, sample), `batch` is the whole global batch, so
// the result depends on neither ranks nor threads nor a resume.
std::optional<CutMix> DrawCutMix(const random::Key& key, double probability,
                                 const std::vector<int64_t>& batch, int height, int width);

// Copies the box of `from` to the same place in `to`; all pictures have one size.
void Paste(const PixelBox& box, const Image& from, Image& to);
void Paste(const PixelBox& box, const LesionMask& from, LesionMask& to);

}  // namespace g2ll::data

#endif  // WORKER_DATA_CUTMIX_H_
