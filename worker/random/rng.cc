#include "worker/random/rng.h"

#include <cmath>
#include <numbers>

namespace g2ll::random {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;

std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

uint64_t Mix(uint64_t a, uint64_t b) { return SplitMix64(SplitMix64(a) ^ b); }

}  // namespace

uint64_t SplitMix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

uint64_t HashId(std::string_view id) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : id) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  }
  return hash;
}

Rng::Rng(const Key& key) {
  // The Philox key is the run and its epoch; half of the counter is the sample,
  // the other half counts blocks.
  const uint64_t run = Mix(key.seed, key.epoch);
  const uint64_t stream =
      Mix(key.sample, (uint64_t{key.view} << 32) | static_cast<uint32_t>(key.purpose));
  key_ = {static_cast<uint32_t>(run), static_cast<uint32_t>(run >> 32)};
  counter_ = {0, 0, static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
}

void Rng::Refill() {
  const std::array<uint32_t, 4> block = Philox(counter_, key_);
  buffer_ = {(uint64_t{block[1]} << 32) | block[0], (uint64_t{block[3]} << 32) | block[2]};
  used_ = 0;
  if (++counter_[0] == 0) ++counter_[1];
}

uint64_t Rng::NextBits() {
  if (used_ == 2) Refill();
  return buffer_[static_cast<size_t>(used_++)];
}

double Rng::Uniform() { return static_cast<double>(NextBits() >> 11) * 0x1.0p-53; }

uint64_t Rng::Below(uint64_t bound) {
  // Draws from the tail that would favour small results are thrown away.
  const uint64_t threshold = (0 - bound) % bound;
  uint64_t bits = NextBits();
  while (bits < threshold) bits = NextBits();
  return bits % bound;
}

int64_t Rng::Between(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
}

double Rng::Normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - Uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * Uniform());
}

float Rng::CoarseNormal() {
  uint64_t bits = NextBits();
  int sum = 0;
  for (int i = 0; i < 8; ++i) {
    sum += static_cast<int>(bits & 0xFF);
    bits >>= 8;
  }
  // Eight bytes have mean 1020 and variance 8 (256^2 - 1) / 12.
  return static_cast<float>(sum - 1020) / 209.0215F;
}

std::vector<int64_t> Permutation(int64_t n, Rng& rng) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  Shuffle(order, rng);
  return order;
}

}  // namespace g2ll::random
