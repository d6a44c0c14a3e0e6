#ifndef WORKER_DATA_SYNTHETIC_DERMOSCOPY_H_
#define WORKER_DATA_SYNTHETIC_DERMOSCOPY_H_

#include <cstdint>

#include "worker/data/image.h"

namespace g2ll::data {

// Names one generated picture: equal names give equal pictures.
struct SyntheticKey {
  uint64_t seed = 0;
  uint64_t index = 0;
  int size = 256;  // both sides, in pixels, at least 32
};

// A skin photograph with one lesion (end of method section 7): a noisy ellipse with
// radii of 25 to 100 pixels at 256, off center by a normal jitter of 20 pixels, in
// skin with low-frequency texture, a radial vignette and 0 to 15 dark hairs.
Image SyntheticImage(const SyntheticKey& key);

// Exactly the pixels whose centers lie within that lesion's outline.
LesionMask SyntheticMask(const SyntheticKey& key);

}  // namespace g2ll::data

#endif  // WORKER_DATA_SYNTHETIC_DERMOSCOPY_H_
