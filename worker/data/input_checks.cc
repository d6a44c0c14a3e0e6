#include "worker/data/input_checks.h"

#include <opencv2/core/utility.hpp>
#include <string>

#include "absl/strings/str_cat.h"

namespace g2ll::data::internal {
namespace {

// "32", or "32 or 48" where the size lies between two multiples.
std::string NearestSizes(int size, int patch) {
  const int below = size / patch * patch;
  if (below < patch) return absl::StrCat(patch);
  return absl::StrCat(below, " or ", below + patch);
}

}  // namespace

absl::Status CheckInput(const InputOptions& input, int threads, int prefetch) {
  if (input.patch < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.patch is ", input.patch, ": a patch has at least 1 pixel a side"));
  }
  if (input.image_size < input.patch || input.image_size % input.patch != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model.imageSize is ", input.image_size, ": it must be a multiple of model.patch, ",
        input.patch, ", for example ", NearestSizes(input.image_size, input.patch)));
  }
  if (threads < 1 || prefetch < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a loader needs at least 1 thread and 1 batch ahead, not ", threads, " and ", prefetch));
  }
  return absl::OkStatus();
}

void UseNoOpenCvThreads() { cv::setNumThreads(0); }

}  // namespace g2ll::data::internal
