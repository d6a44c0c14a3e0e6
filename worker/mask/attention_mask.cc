#include "worker/mask/attention_mask.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace g2ll::mask {
namespace {

// A finite number or minus infinity, so that patches can be sorted by it.
float Rank(float attention) {
  return std::isnan(attention) ? -std::numeric_limits<float>::infinity() : attention;
}

}  // namespace

std::vector<double> MaskNoise(random::Key key, size_t count) {
  key.purpose = random::Purpose::kMask;
  random::Rng rng(key);
  std::vector<double> noise(count);
  for (double& value : noise) value = rng.Uniform();
  return noise;
}

bool IsMaskedByAttention(random::Key key, double share) {
  key.purpose = random::Purpose::kAttention;
  return random::Rng(key).Bernoulli(share);
}

PatchMask AttentionMask(std::span<const float> attention, std::span<const double> noise,
                        int num_masked, double hint) {
  const auto has_more_noise = [&](size_t a, size_t b) {
    return noise[a] != noise[b] ? noise[a] > noise[b] : a > b;
  };
  std::vector<size_t> order(attention.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const float rank_a = Rank(attention[a]);
    const float rank_b = Rank(attention[b]);
    return rank_a != rank_b ? rank_a > rank_b : has_more_noise(a, b);
  });
  const int num_visible = static_cast<int>(order.size()) - num_masked;
  const int num_hints = std::min(static_cast<int>(std::lround(hint * num_masked)), num_visible);
  // Hints first, so that what is masked follows in one piece.
  std::sort(order.begin(), order.begin() + num_masked, has_more_noise);
  PatchMask mask;
  mask.masked.assign(order.size(), false);
  for (int i = num_hints; i < num_hints + num_masked; ++i) {
    mask.masked[order[static_cast<size_t>(i)]] = true;
  }
  return mask;
}

std::optional<PatchMask> DrawAttentionMask(std::span<const float> attention, const random::Key& key,
                                           const MaskOptions& options) {
  if (!IsMaskedByAttention(key, options.attention_share)) return std::nullopt;
  return AttentionMask(attention, MaskNoise(key, attention.size()),
                       NumMasked(static_cast<int>(attention.size()), options.gamma),
                       options.attention_hint);
}

}  // namespace g2ll::mask
