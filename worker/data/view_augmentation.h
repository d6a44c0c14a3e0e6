#ifndef WORKER_DATA_VIEW_AUGMENTATION_H_
#define WORKER_DATA_VIEW_AUGMENTATION_H_

#include "absl/status/statusor.h"
#include "worker/data/augmentation.h"
#include "worker/data/clean_image.h"
#include "worker/data/image.h"
#include "worker/data/resize.h"
#include "worker/mask/mask_strategy.h"
#include "worker/random/rng.h"

namespace g2ll::data {

// Every step draws from a stream of its own, named by (seed, epoch, sample, view) of
// `key` and the step; `key.purpose` is not used and `key.view` is below 256. So what is
// drawn depends on nothing that was drawn before, and a job without one of the steps
// differs from a job with it in that step alone.

// The part of an image that a view shows, and how it is mirrored.
struct Frame {
  PixelBox box;
  bool is_mirrored = false;     // left to right
  bool is_upside_down = false;  // top to bottom
};

// The geometric steps of a view of a picture of this size: random resized crop, flips.
Frame DrawFrame(const ViewOptions& options, int height, int width, const random::Key& key);

// What the frame shows, at the size of the whole picture: pixels cubic, labels nearest.
Image CutOut(const Image& image, const Frame& frame);
LabelMap CutOut(const LabelMap& map, const Frame& frame);

// The crop of DrawFrame: area uniform in [min_scale, 1] of the picture, aspect ratio
// log-uniform in [3/4, 4/3]; if ten draws do not fit, the largest box in the middle
// whose aspect ratio lies in that range (torchvision's RandomResizedCrop).
PixelBox RandomCrop(int height, int width, double min_scale, random::Rng& rng);

// A randomly changed picture and its regions, which followed every geometric step.
struct View {
  Image image;
  mask::RegionMap regions;  // empty where the clean image has none
};

// Makes the view `key.view` (method section 3.4): crop, flips, color jitter, grey, blur,
// solarize, in this order. View 1, the second, has its own probability of blur and is the
// only one that is solarized. `patch` is the side of a patch in pixels.
absl::StatusOr<View> MakeView(const CleanImage& clean, const ViewOptions& options, int patch,
                              const random::Key& key);

// Changes an image and its mask alike (method section 4.2): crop, flips, then shift, scale
// and rotation with mirrored edges (crop cubic, the rest linear; mask nearest), then what
// leaves the mask alone: color jitter, grey, blur, noise.
void AugmentForSegmentation(const SegmentationAugmentOptions& options, const random::Key& key,
                            Image& image, LesionMask& mask);

}  // namespace g2ll::data

#endif  // WORKER_DATA_VIEW_AUGMENTATION_H_
