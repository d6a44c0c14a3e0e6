#include "worker/data/input_checks.h"

#include <opencv2/core/utility.hpp>

#include "absl/strings/str_cat.h"

namespace g2ll::data::internal {

absl::Status CheckInput(const InputOptions& input, int threads, int prefetch) {
  if (input.patch < 1 || input.image_size < input.patch || input.image_size % input.patch != 0) {
    return absl::InvalidArgumentError(absl::StrCat("model.imageSize is ", input.image_size,
                                                   ": it must be a multiple of model.patch, ",
                                                   input.patch));
  }
  if (threads < 1 || prefetch < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a loader needs at least 1 thread and 1 batch ahead, not ", threads, " and ", prefetch));
  }
  return absl::OkStatus();
}

void UseNoOpenCvThreads() { cv::setNumThreads(0); }

}  // namespace g2ll::data::internal
