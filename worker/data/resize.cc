#include "worker/data/resize.h"

#include <opencv2/imgproc.hpp>

#include "worker/data/mat_view.h"

namespace g2ll::data {
namespace {

using internal::ViewOf;

cv::Rect RectOf(const PixelBox& box) { return {box.left, box.top, box.width, box.height}; }

void ResizeInto(const cv::Mat& from, cv::Mat to, int interpolation) {
  if (from.size() == to.size()) {
    from.copyTo(to);
    return;
  }
  cv::resize(from, to, to.size(), 0, 0, interpolation);
}

void ResizePixels(const cv::Mat& from, const cv::Mat& to) {
  const bool shrinks = to.rows <= from.rows && to.cols <= from.cols;
  ResizeInto(from, to, shrinks ? cv::INTER_AREA : cv::INTER_CUBIC);
}

template <typename Picture>
void Flip(Picture& picture, int axis) {
  cv::Mat view = ViewOf(picture);
  cv::flip(view, view, axis);
}

}  // namespace

Image ResizeImage(const Image& image, int height, int width) {
  Image resized = internal::BlankImage(height, width);
  ResizePixels(ViewOf(image), ViewOf(resized));
  return resized;
}

LesionMask ResizeMask(const LesionMask& mask, int height, int width) {
  LesionMask resized = internal::BlankMask(height, width);
  ResizeInto(ViewOf(mask), ViewOf(resized), cv::INTER_NEAREST_EXACT);
  return resized;
}

Image CropAndResize(const Image& image, const PixelBox& box, int height, int width) {
  Image resized = internal::BlankImage(height, width);
  ResizePixels(ViewOf(image)(RectOf(box)), ViewOf(resized));
  return resized;
}

LesionMask CropAndResize(const LesionMask& mask, const PixelBox& box, int height, int width) {
  LesionMask resized = internal::BlankMask(height, width);
  ResizeInto(ViewOf(mask)(RectOf(box)), ViewOf(resized), cv::INTER_NEAREST_EXACT);
  return resized;
}

LabelMap CropAndResize(const LabelMap& map, const PixelBox& box, int height, int width) {
  LabelMap resized = internal::BlankLabels(height, width);
  ResizeInto(ViewOf(map)(RectOf(box)), ViewOf(resized), cv::INTER_NEAREST_EXACT);
  return resized;
}

void FlipHorizontally(Image& image) { Flip(image, 1); }
void FlipVertically(Image& image) { Flip(image, 0); }
void FlipHorizontally(LesionMask& mask) { Flip(mask, 1); }
void FlipVertically(LesionMask& mask) { Flip(mask, 0); }
void FlipHorizontally(LabelMap& map) { Flip(map, 1); }
void FlipVertically(LabelMap& map) { Flip(map, 0); }

}  // namespace g2ll::data
