#include "worker/pretrain/collapse.h"

#include <cmath>

#include "absl/strings/str_format.h"

namespace g2ll::pretrain {
namespace {

constexpr double kLargestShare = 0.99;
constexpr double kSmallestEntropy = 0.05;

}  // namespace

std::string CollapseWarning(const CollapseLimits& limits, int64_t step, double entropy) {
  const double uniform = std::log(static_cast<double>(limits.num_prototypes));
  if (step >= limits.warmup_steps && entropy > kLargestShare * uniform) {
    return absl::StrFormat(
        "the teacher says the same of every image: its entropy %.3f is above 0.99 ln K = %.3f; a "
        "lower distill.teacherTemp or a larger train.globalBatch may help",
        entropy, kLargestShare * uniform);
  }
  if (entropy < kSmallestEntropy) {
    return absl::StrFormat(
        "the teacher's outputs are almost one-hot, for all images the same one at worst: their "
        "mean entropy %.4f is below 0.05 nat; a higher distill.teacherTemp or a lower "
        "distill.centerMomentum may help",
        entropy);
  }
  return "";
}

}  // namespace g2ll::pretrain
