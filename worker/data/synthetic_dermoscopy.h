#ifndef WORKER_DATA_SYNTHETIC_DERMOSCOPY_H_
#define WORKER_DATA_SYNTHETIC_DERMOSCOPY_H_

#include <array>
#include <cstdint>
#include <string_view>

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

// Made-up diagnoses, by what can be seen of a lesion: its size, how dark its pigment is
// and its hue. Like real ones they are of unequal frequency (about 6 to 25 %) and not
// always easy to tell: a lesion may lie at a border between two.
inline constexpr std::array<std::string_view, 8> kSyntheticClasses = {
    "small_light_cool", "small_light_warm", "small_dark_cool", "small_dark_warm",
    "large_light_cool", "large_light_warm", "large_dark_cool", "large_dark_warm"};

// Class of that picture's lesion, an index into kSyntheticClasses.
int64_t SyntheticClass(const SyntheticKey& key);

}  // namespace g2ll::data

#endif  // WORKER_DATA_SYNTHETIC_DERMOSCOPY_H_
