#ifndef WORKER_DATA_VIEW_AUGMENTATION_H_
#define WORKER_DATA_VIEW_AUGMENTATION_H_

#include "absl/status/statusor.h"
#include "worker/data/augmentation.h"
#include "worker/data/clean_image.h"
#include "worker/data/image.h"
#include "worker/mask/mask_strategy.h"
#include "worker/random/rng.h"

namespace g2ll::data {

// A randomly changed picture and its regions, which followed every geometric step.
struct View {
  Image image;
  mask::RegionMap regions;  // empty where the clean image has none
};

// Makes one view: random resized crop, flips, color jitter, grey, blur, in this order
// (method section 3.4). `is_second` takes the second view's blur probability.
// Everything random comes from `rng`. `patch` is the side of a patch in pixels.
absl::StatusOr<View> MakeView(const CleanImage& clean, const ViewOptions& options, int patch,
                              bool is_second, random::Rng& rng);

// The crop of MakeView: area uniform in [min_scale, 1] of the picture, aspect ratio
// log-uniform in [3/4, 4/3]; the whole picture if ten draws do not fit.
PixelBox RandomCrop(int height, int width, double min_scale, random::Rng& rng);

// Photometric steps, in place. Factors are 1 for no change; `shift` of the hue is in
// turns of the color circle; `sigma` is in pixels.
void ScaleBrightness(Image& image, double factor);
void ScaleContrast(Image& image, double factor);
void ScaleSaturation(Image& image, double factor);
void ShiftHue(Image& image, double shift);
void MakeGray(Image& image);
void Blur(Image& image, double sigma);

// Changes an image and its mask alike (method section 4.2): flips, then shift, scale
// and rotation with mirrored edges (image linear, mask nearest), then noise, which
// leaves the mask alone.
void AugmentForSegmentation(const SegmentationAugmentOptions& options, random::Rng& rng,
                            Image& image, LesionMask& mask);

}  // namespace g2ll::data

#endif  // WORKER_DATA_VIEW_AUGMENTATION_H_
