#include "worker/metric/baseline.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "worker/metric/overlap.h"

namespace g2ll::metric {
namespace {

// The first of the candidates with the best mean Dice on `training`.
BaselineMask Choose(std::vector<BaselineMask> candidates, const MaskSet& training) {
  size_t best = 0;
  double best_dice = -1;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double dice = ScoreMask(candidates[i].mask, training).dice;
    if (dice > best_dice) {
      best = i;
      best_dice = dice;
    }
  }
  return std::move(candidates[best]);
}

// Share of the masks that call each pixel lesion.
std::vector<double> MeanMask(const MaskSet& set) {
  std::vector<double> mean(set.masks.front().size(), 0.0);
  for (const std::vector<uint8_t>& mask : set.masks) {
    for (size_t i = 0; i < mean.size(); ++i) {
      mean[i] += mask[i] != 0;
    }
  }
  for (double& value : mean) {
    value /= static_cast<double>(set.masks.size());
  }
  return mean;
}

}  // namespace

MeanScore ScoreMask(const std::vector<uint8_t>& prediction, const MaskSet& truth) {
  MeanScore mean;
  for (const std::vector<uint8_t>& mask : truth.masks) {
    const OverlapCounts counts = CountOverlap(prediction, mask);
    mean.dice += Dice(counts);
    mean.iou += IoU(counts);
  }
  const double count = static_cast<double>(std::max<size_t>(1, truth.masks.size()));
  return {mean.dice / count, mean.iou / count};
}

std::vector<uint8_t> CenteredEllipse(int size, double semi_x, double semi_y) {
  std::vector<uint8_t> mask(static_cast<size_t>(size) * static_cast<size_t>(size));
  const double half = size / 2.0;
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const double dx = (x + 0.5 - half) / (half * semi_x);
      const double dy = (y + 0.5 - half) / (half * semi_y);
      mask[static_cast<size_t>(y) * static_cast<size_t>(size) + static_cast<size_t>(x)] =
          dx * dx + dy * dy <= 1.0;
    }
  }
  return mask;
}

BaselineMask ChooseConstantMask(const MaskSet& training) {
  const size_t pixels = static_cast<size_t>(training.size) * static_cast<size_t>(training.size);
  std::vector<BaselineMask> candidates = {
      {"every pixel lesion", std::vector<uint8_t>(pixels, 1)},
      {"no pixel lesion", std::vector<uint8_t>(pixels, 0)},
  };
  if (!training.masks.empty()) {
    const std::vector<double> mean = MeanMask(training);
    for (int step = 1; step <= 19; ++step) {
      const double threshold = 0.05 * step;
      std::vector<uint8_t> mask(pixels);
      std::transform(mean.begin(), mean.end(), mask.begin(),
                     [&](double share) { return static_cast<uint8_t>(share >= threshold); });
      candidates.push_back(
          {absl::StrFormat("mean training mask at %.2f", threshold), std::move(mask)});
    }
  }
  return Choose(std::move(candidates), training);
}

BaselineMask ChooseCenteredEllipse(const MaskSet& training) {
  std::vector<BaselineMask> candidates;
  const bool has_training = !training.masks.empty();
  for (int x = has_training ? 3 : 6; x <= (has_training ? 11 : 6); ++x) {
    for (int y = has_training ? 3 : 6; y <= (has_training ? 11 : 6); ++y) {
      candidates.push_back(
          {absl::StrFormat("ellipse %.1f x %.1f of the half side", x / 10.0, y / 10.0),
           CenteredEllipse(training.size, x / 10.0, y / 10.0)});
    }
  }
  return Choose(std::move(candidates), training);
}

}  // namespace g2ll::metric
