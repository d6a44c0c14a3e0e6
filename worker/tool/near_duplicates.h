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
  int distance = 0;  // of the hashes, in bits
  double correlation = 0;
};

// Absent where a picture could not be read; it is like nothing.
using Fingerprints = std::vector<std::optional<data::Fingerprint>>;

// All near duplicates between two sets, and within one (each pair once, first < second),
// by second, then first. Every hash is held against every other: 70 million pairs, the
// whole of ISIC-2019 against ISIC-2017, take a fraction of a second. Uses all processors.
std::vector<NearPair> NearDuplicates(const Fingerprints& first, const Fingerprints& second);
std::vector<NearPair> NearDuplicatesWithin(const Fingerprints& set);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_NEAR_DUPLICATES_H_
