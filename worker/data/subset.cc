#include "worker/data/subset.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/common/folder_split.h"
#include "worker/random/rng.h"

namespace g2ll::data {
namespace {

// Places of the ids in a seeded order: a number each, uniform over 64 bits.
std::vector<uint64_t> Places(const std::vector<std::string>& ids, int64_t seed,
                             random::Purpose purpose) {
  std::vector<uint64_t> places;
  places.reserve(ids.size());
  for (const std::string& id : ids) {
    random::Rng rng(
        {.seed = static_cast<uint64_t>(seed), .sample = random::HashId(id), .purpose = purpose});
    places.push_back(rng.NextBits());
  }
  return places;
}

// Positions in the order of their places; equal places go by id.
std::vector<size_t> Order(const std::vector<std::string>& ids,
                          const std::vector<uint64_t>& places) {
  std::vector<size_t> order(ids.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return places[a] != places[b] ? places[a] < places[b] : ids[a] < ids[b];
  });
  return order;
}

Split SplitOfShare(double share) {
  if (share < 0.8) return Split::kTrain;
  return share < 0.9 ? Split::kValidation : Split::kTest;
}

}  // namespace

absl::StatusOr<std::vector<size_t>> SelectSubset(const std::vector<std::string>& ids,
                                                 const DatasetOptions& options) {
  const auto total = static_cast<int64_t>(ids.size());
  int64_t kept = std::llround(static_cast<double>(total) * options.fraction);
  if (kept < 1 && total > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.fraction ", options.fraction, " leaves none of the ", total,
                     " images of the ", SplitName(options.split), " split of ", options.source,
                     ": one image is ", 1.0 / static_cast<double>(total)));
  }
  if (options.max_images > 0) kept = std::min(kept, options.max_images);
  std::vector<size_t> order =
      Order(ids, Places(ids, options.subset_seed, random::Purpose::kSubset));
  order.resize(static_cast<size_t>(kept));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<Split> HashSplit(const std::vector<std::string>& ids) {
  const std::vector<uint64_t> places = Places(ids, 0, random::Purpose::kSplit);
  std::vector<Split> splits;
  for (const uint64_t place : places) {
    splits.push_back(SplitOfShare(static_cast<double>(place >> 11) * 0x1.0p-53));
  }
  const auto has = [&](Split split) {
    return std::find(splits.begin(), splits.end(), split) != splits.end();
  };
  if (ids.size() < 3 || (has(Split::kTrain) && has(Split::kValidation) && has(Split::kTest))) {
    return splits;
  }
  // By rank instead of by value, so that no split is empty.
  const std::vector<size_t> order = Order(ids, places);
  const size_t held = std::max<size_t>(1, ids.size() / 10);
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const size_t from_end = order.size() - 1 - rank;
    splits[order[rank]] = from_end < held       ? Split::kTest
                          : from_end < 2 * held ? Split::kValidation
                                                : Split::kTrain;
  }
  return splits;
}

const char* SplitName(Split split) {
  static_assert(kSplitNames[static_cast<size_t>(Split::kValidation)] == "validation" &&
                kSplitNames[static_cast<size_t>(Split::kAll)] == "all");
  return kSplitNames[static_cast<size_t>(split)].data();  // ends with a zero: it is a literal
}

std::optional<Split> SplitNamed(std::string_view name) {
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest, Split::kAll}) {
    if (name == SplitName(split)) return split;
  }
  return std::nullopt;
}

std::optional<Split> SplitOfWord(std::string_view word) {
  constexpr std::pair<const char*, Split> kWords[] = {
      {"train", Split::kTrain},       {"training", Split::kTrain},
      {"trainset", Split::kTrain},    {"val", Split::kValidation},
      {"valid", Split::kValidation},  {"validation", Split::kValidation},
      {"valset", Split::kValidation}, {"test", Split::kTest},
      {"testing", Split::kTest},      {"testset", Split::kTest},
  };
  const std::string text(word);
  for (const auto& [known, split] : kWords) {
    if (absl::EqualsIgnoreCase(text, known)) return split;
  }
  return std::nullopt;
}

}  // namespace g2ll::data
