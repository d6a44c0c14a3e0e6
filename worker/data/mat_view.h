#ifndef WORKER_DATA_MAT_VIEW_H_
#define WORKER_DATA_MAT_VIEW_H_

#include <opencv2/core/mat.hpp>

#include <cstdint>

#include "worker/data/image.h"
#include "worker/data/resize.h"

// OpenCV's view of our pictures, without copies; only for sources of this folder.
// OpenCV has no const views: a function that takes one as input does not write to it.
namespace g2ll::data::internal {

inline cv::Mat ViewOf(const Image& image) {
  return {image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.pixels.data())};
}

inline cv::Mat ViewOf(const LesionMask& mask) {
  return {mask.height, mask.width, CV_8UC1, const_cast<uint8_t*>(mask.pixels.data())};
}

inline cv::Mat ViewOf(const LabelMap& map) {
  return {map.height, map.width, CV_16UC1, const_cast<uint16_t*>(map.labels.data())};
}

inline Image BlankImage(int height, int width) {
  return {height, width, std::vector<uint8_t>(static_cast<size_t>(height) * width * 3)};
}

inline LesionMask BlankMask(int height, int width) {
  return {height, width, std::vector<uint8_t>(static_cast<size_t>(height) * width)};
}

inline LabelMap BlankLabels(int height, int width) {
  return {height, width, std::vector<uint16_t>(static_cast<size_t>(height) * width)};
}

}  // namespace g2ll::data::internal

#endif  // WORKER_DATA_MAT_VIEW_H_
