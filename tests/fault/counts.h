#ifndef TESTS_FAULT_COUNTS_H_
#define TESTS_FAULT_COUNTS_H_

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace g2ll::fault {

// Whether the long version of a test runs (label `nightly`).
inline bool IsNightly() { return std::getenv("G2LL_NIGHTLY") != nullptr; }

// How often a fault is tried.
inline int Count(int ci, int nightly) { return IsNightly() ? nightly : ci; }

// Seed of a randomised test: that of G2LL_SEED, so that a printed one can be replayed,
// else a new one.
inline uint64_t Seed() {
  const char* given = std::getenv("G2LL_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
}

}  // namespace g2ll::fault

#endif  // TESTS_FAULT_COUNTS_H_
