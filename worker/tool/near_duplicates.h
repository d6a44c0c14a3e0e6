#ifndef WORKER_TOOL_NEAR_DUPLICATES_H_
#define WORKER_TOOL_NEAR_DUPLICATES_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "worker/data/perceptual_hash.h"

namespace g2ll::tool {

// Two pictures that look alike, by their positions.
struct NearPair {
  size_t first = 0;
  size_t second = 0;
  data::Likeness likeness;
};

// Absent where a picture could not be read; it is like nothing.
using LooksOfImages = std::vector<std::optional<data::Looks>>;

// All near duplicates between two sets, and within one (each pair once, first < second),
// by second, then first. Every picture is held against every other, wholes and middles:
// 25,331 against 2,750 random ones took 0.8 s on two cores. Uses all processors.
std::vector<NearPair> NearDuplicates(const LooksOfImages& first, const LooksOfImages& second);
std::vector<NearPair> NearDuplicatesWithin(const LooksOfImages& set);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_NEAR_DUPLICATES_H_
