#ifndef WORKER_DATA_PERCEPTUAL_HASH_H_
#define WORKER_DATA_PERCEPTUAL_HASH_H_

#include <array>
#include <bit>
#include <cstdint>

#include "worker/data/image.h"

namespace g2ll::data {

// What a picture looks like, small enough to hold one against thousands. The picture is
// squeezed to a square whatever its shape, so a squashed copy has the same fingerprint.
struct Fingerprint {
  // Which of the 8x8 lowest frequencies of the luma's cosine transform, 32x32 pixels, are
  // above their median.
  uint64_t hash = 0;
  std::array<uint8_t, 16 * 16> thumbnail{};  // luma
};

// Fingerprints of a picture and of its middle, which is all that some releases keep: the
// central square, or the central 3/4 of the width of a picture that is square already,
// as if it had been squeezed from 4:3.
struct Looks {
  Fingerprint whole;
  Fingerprint middle;
};

// Of an RGB picture that has at least one pixel.
Looks LooksOf(const Image& image);

// Bits that differ, 0 to 64.
inline int HashDistance(uint64_t a, uint64_t b) { return std::popcount(a ^ b); }

// Pearson's correlation of the thumbnails; pictures of one color correlate with their
// equals (1) and with nothing else (0).
double Correlation(const Fingerprint& a, const Fingerprint& b);

// How alike two pictures are.
struct Likeness {
  int distance = 64;  // of the hashes
  double correlation = 0;

  // Hashes that differ in at most 8 bits, thumbnails that correlate by more than 0.965.
  bool is_near() const { return distance <= kMaxHashDistance && correlation > kMinCorrelation; }

  static constexpr int kMaxHashDistance = 8;
  static constexpr double kMinCorrelation = 0.965;
};

// The closest of whole with whole and of either whole with the other's middle: a near one
// where there is one, else the smallest distance.
Likeness Compare(const Looks& a, const Looks& b);

}  // namespace g2ll::data

#endif  // WORKER_DATA_PERCEPTUAL_HASH_H_
