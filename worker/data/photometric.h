#ifndef WORKER_DATA_PHOTOMETRIC_H_
#define WORKER_DATA_PHOTOMETRIC_H_

#include "worker/data/augmentation.h"
#include "worker/data/image.h"
#include "worker/random/rng.h"

namespace g2ll::data {

// Changes of colors, in place, as torchvision and PIL define them (method section 3.1),
// but for one thing: results are rounded to the nearest value and not cut off, so that
// a chain of steps does not darken. Luma is 0.299 R + 0.587 G + 0.114 B.

// x * factor.
void ScaleBrightness(Image& image, double factor);
// mean + (x - mean) * factor, with the mean luma of the image.
void ScaleContrast(Image& image, double factor);
// luma + (x - luma) * factor, with the luma of each pixel.
void ScaleSaturation(Image& image, double factor);
// Turns the hue by `shift` turns of the color circle; saturation and value (HSV) stay.
void ShiftHue(Image& image, double shift);
// The luma in all channels.
void MakeGray(Image& image);
// Gaussian of deviation `sigma` pixels, edges mirrored.
void Blur(Image& image, double sigma);
// 255 - x where x is 128 or more.
void Solarize(Image& image);

// The first four in random order, each by a random factor. The draws do not depend on
// the amounts.
void JitterColors(const JitterAmounts& amounts, random::Rng& rng, Image& image);

// Adds Gaussian noise whose variance is uniform in [10, 50].
void AddNoise(random::Rng& rng, Image& image);

}  // namespace g2ll::data

#endif  // WORKER_DATA_PHOTOMETRIC_H_
