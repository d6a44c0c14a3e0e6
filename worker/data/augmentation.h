#ifndef WORKER_DATA_AUGMENTATION_H_
#define WORKER_DATA_AUGMENTATION_H_

namespace g2ll::data {

// Random changes of pre-training views (method section 3.4). Probabilities in
// [0, 1] unless said otherwise.
struct ViewOptions {
  double horizontal_flip = 0.5;
  double vertical_flip = 0.5;
  double color_jitter = 0.8;  // brightness .4, contrast .4, saturation .2, hue .1
  double grayscale = 0.2;
  double blur = 1.0;            // first view; radius U(.1, 2) pixels at 256 pixels
  double blur_second = 0.1;     // second view
  double crop_min_scale = 1.0;  // smallest area of a random resized crop; 1: none
};

// Random changes of images with masks in fine-tuning (method section 4.2).
struct SegmentationAugmentOptions {
  double horizontal_flip = 0.5;
  double vertical_flip = 0.5;
  double shift_scale_rotate = 0.5;  // shift .0625, scale .1, rotate 45 degrees
  double noise = 0.5;               // additive Gaussian
};

}  // namespace g2ll::data

#endif  // WORKER_DATA_AUGMENTATION_H_
