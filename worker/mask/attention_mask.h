#ifndef WORKER_MASK_ATTENTION_MASK_H_
#define WORKER_MASK_ATTENTION_MASK_H_

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "worker/mask/mask_strategy.h"
#include "worker/random/rng.h"

namespace g2ll::mask {

// Masks from the teacher's attention (AttMask; method section 2.7). The teacher's
// attention exists only during a step, so the loader draws a random mask, and the
// task replaces it where DrawAttentionMask gives one. Pure functions.

// `count` uniform numbers for the mask of the view that `key` names, whatever its
// purpose: the very numbers that the loader's mask is drawn with.
std::vector<double> MaskNoise(random::Key key, size_t count);

// Whether attention picks the masked patches of the view that `key` names; true with
// probability `share`, whatever the purpose of `key`.
bool IsMaskedByAttention(random::Key key, double share);

// Masks exactly `num_masked` patches, the most attended first. Of the `num_masked`
// most attended, round(hint * num_masked) stay visible as hints, at most the
// patches that can stay visible at all; the next most attended take their place. Hints
// are those of the largest noise. `attention` and `noise` have one value a patch; equal
// attention goes to the larger noise, equal noise to the higher id; attention that is
// not a number counts as none.
PatchMask AttentionMask(std::span<const float> attention, std::span<const double> noise,
                        int num_masked, double hint);

// The mask of one view of one image: `attention` is the class token's attention to
// each patch, mean over the heads of the teacher's last block; `key` names seed,
// epoch, data set index and view. Nothing where the view keeps its random mask.
std::optional<PatchMask> DrawAttentionMask(std::span<const float> attention, const random::Key& key,
                                           const MaskOptions& options);

}  // namespace g2ll::mask

#endif  // WORKER_MASK_ATTENTION_MASK_H_
