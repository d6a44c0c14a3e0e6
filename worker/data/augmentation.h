#ifndef WORKER_DATA_AUGMENTATION_H_
#define WORKER_DATA_AUGMENTATION_H_

namespace g2ll::data {

// How far a color jitter goes (torchvision's ColorJitter with DINO's numbers). A step
// whose amount is 0 is left out.
struct JitterAmounts {
  double brightness = 0.4;  // factor uniform in 1 +- this, in [0, 1]
  double contrast = 0.4;    // the same
  double saturation = 0.2;  // the same
  double hue = 0.1;         // shift uniform in +- this, in turns, in [0, 0.5]
};

// Random changes of pre-training views (method section 3.4). Probabilities in
// [0, 1] unless said otherwise.
struct ViewOptions {
  double horizontal_flip = 0.5;
  double vertical_flip = 0.5;
  double color_jitter = 0.8;
  JitterAmounts jitter;
  double grayscale = 0.2;
  double blur = 1.0;            // first view; sigma U(.1, 2) pixels at 256 pixels
  double blur_second = 0.1;     // second view
  double solarize = 0.0;        // second view
  double crop_min_scale = 1.0;  // smallest area of a random resized crop; 1: none
};

// Random changes of images with masks in fine-tuning (method section 4.2).
struct SegmentationAugmentOptions {
  double horizontal_flip = 0.5;
  double vertical_flip = 0.5;
  double crop_min_scale = 1.0;      // as above
  double shift_scale_rotate = 0.5;  // shift .0625, scale .1, rotate 45 degrees
  double color_jitter = 0.0;
  JitterAmounts jitter;
  double grayscale = 0.0;
  double blur = 0.0;   // sigma as above
  double noise = 0.5;  // additive Gaussian
};

}  // namespace g2ll::data

#endif  // WORKER_DATA_AUGMENTATION_H_
