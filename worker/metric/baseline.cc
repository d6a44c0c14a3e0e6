#include "worker/metric/baseline.h"

#include <algorithm>
#include <cstdio>
#include <tuple>
#include <utility>

#include "worker/metric/overlap.h"

namespace g2ll::metric {
namespace {

// Mean over images of their Dice and IoU.
std::pair<double, double> MeanScores(const std::vector<uint8_t>& prediction, const MaskSet& set) {
  if (set.masks.empty()) {
    return {0, 0};
  }
  double dice = 0;
  double iou = 0;
  for (const std::vector<uint8_t>& truth : set.masks) {
    const OverlapCounts counts = CountOverlap(prediction, truth);
    dice += Dice(counts);
    iou += IoU(counts);
  }
  const double count = static_cast<double>(set.masks.size());
  return {dice / count, iou / count};
}

struct Candidate {
  std::string description;
  std::vector<uint8_t> mask;
};

// The first of the candidates with the best mean Dice on `training`.
BaselineScore ChooseAndScore(std::vector<Candidate> candidates, const MaskSet& training,
                             const MaskSet& test) {
  size_t best = 0;
  double best_dice = -1;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double dice = MeanScores(candidates[i].mask, training).first;
    if (dice > best_dice) {
      best = i;
      best_dice = dice;
    }
  }
  BaselineScore score;
  std::tie(score.dice, score.iou) = MeanScores(candidates[best].mask, test);
  score.description = std::move(candidates[best].description);
  score.mask = std::move(candidates[best].mask);
  return score;
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

std::string Format(const char* format, double a, double b = 0) {
  char text[64];
  std::snprintf(text, sizeof(text), format, a, b);
  return text;
}

}  // namespace

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

BaselineScore BestConstantMask(const MaskSet& training, const MaskSet& test) {
  const size_t pixels = static_cast<size_t>(test.size) * static_cast<size_t>(test.size);
  std::vector<Candidate> candidates = {
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
      candidates.push_back({Format("mean training mask at %.2f", threshold), std::move(mask)});
    }
  }
  return ChooseAndScore(std::move(candidates), training, test);
}

BaselineScore BestCenteredEllipse(const MaskSet& training, const MaskSet& test) {
  std::vector<Candidate> candidates;
  const bool has_training = !training.masks.empty();
  for (int x = has_training ? 3 : 6; x <= (has_training ? 11 : 6); ++x) {
    for (int y = has_training ? 3 : 6; y <= (has_training ? 11 : 6); ++y) {
      candidates.push_back({Format("ellipse %.1f x %.1f of the half side", x / 10.0, y / 10.0),
                            CenteredEllipse(test.size, x / 10.0, y / 10.0)});
    }
  }
  return ChooseAndScore(std::move(candidates), training, test);
}

}  // namespace g2ll::metric
