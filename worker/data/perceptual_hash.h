#ifndef WORKER_DATA_PERCEPTUAL_HASH_H_
#define WORKER_DATA_PERCEPTUAL_HASH_H_

#include <array>
#include <bit>
#include <cstdint>

#include "worker/data/image.h"

namespace g2ll::data {

// What a picture looks like, small enough to hold one against thousands.
struct Fingerprint {
  // The signs of the 64 lowest frequencies of the thumbnail's cosine transform, the mean
  // left out, against their median.
  uint64_t hash = 0;
  // Luma, squeezed to 32x32 whatever the shape: a squashed copy has the same one.
  std::array<uint8_t, 32 * 32> thumbnail{};
};

// Of an RGB picture that has at least one pixel.
Fingerprint FingerprintOf(const Image& image);

// Bits that differ, 0 to 64.
inline int HashDistance(uint64_t a, uint64_t b) { return std::popcount(a ^ b); }

// Pearson's correlation of the thumbnails; pictures of one color correlate with their
// equals (1) and with nothing else (0).
double Correlation(const Fingerprint& a, const Fingerprint& b);

// Two pictures are near duplicates where their hashes differ in at most so many bits and
// their thumbnails correlate by more than this.
inline constexpr int kMaxHashDistance = 8;
inline constexpr double kMinCorrelation = 0.965;

}  // namespace g2ll::data

#endif  // WORKER_DATA_PERCEPTUAL_HASH_H_
