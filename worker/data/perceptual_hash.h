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
  std::array<uint8_t, 32 * 32> thumbnail{};  // luma
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

// Two fingerprints are near where their hashes differ in at most so many bits and their
// thumbnails correlate by more than this. Where one is of a middle, the bound is stricter:
// close-ups of different lesions are more alike than whole photographs.
inline constexpr int kMaxHashDistance = 8;
inline constexpr double kMinCorrelation = 0.965;
inline constexpr double kMinMiddleCorrelation = 0.98;

// How alike two pictures are.
struct Likeness {
  int distance = 64;  // of the hashes
  double correlation = 0;
  bool is_near = false;
};

// The closest of whole with whole and of either whole with the other's middle: a near one
// where there is one, else the smallest distance.
Likeness Compare(const Looks& a, const Looks& b);

}  // namespace g2ll::data

#endif  // WORKER_DATA_PERCEPTUAL_HASH_H_
