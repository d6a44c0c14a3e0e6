#include "worker/tool/folder_overlap.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "worker/data/photograph_id.h"
#include "worker/data/subset.h"

namespace g2ll::tool {
namespace {

using Positions = std::multimap<std::string, size_t, std::less<>>;

// Collects each pair once, with the first reason it is given.
class PairCollector {
 public:
  PairCollector(const CheckedFolder& first, const CheckedFolder& second)
      : first_(first), second_(second) {}

  void Add(size_t first, size_t second, SharedBy by) {
    if (!seen_.emplace(first, second).second) return;
    SharedImage pair{first, second, by, std::nullopt};
    const auto& a = first_.looks[first];
    const auto& b = second_.looks[second];
    if (a && b) pair.likeness = data::Compare(*a, *b);
    pairs_.push_back(pair);
  }

  void AddEqual(const Positions& keys_of_first, std::string_view key, size_t second, SharedBy by) {
    const auto [begin, end] = keys_of_first.equal_range(key);
    for (auto entry = begin; entry != end; ++entry) Add(entry->second, second, by);
  }

  std::vector<SharedImage> Finish() {
    std::sort(pairs_.begin(), pairs_.end(), [](const SharedImage& a, const SharedImage& b) {
      return std::tie(a.second, a.first) < std::tie(b.second, b.first);
    });
    return std::move(pairs_);
  }

 private:
  const CheckedFolder& first_;
  const CheckedFolder& second_;
  std::set<std::pair<size_t, size_t>> seen_;
  std::vector<SharedImage> pairs_;
};

std::vector<SharedImage> SharedImages(const CheckedFolder& first, const CheckedFolder& second) {
  Positions by_id;
  Positions by_digest;
  for (size_t i = 0; i < first.digests.size(); ++i) {
    by_id.emplace(data::PhotographId(first.contents.images[i].id), i);
    if (!first.digests[i].empty()) by_digest.emplace(first.digests[i], i);
  }
  PairCollector pairs(first, second);
  for (size_t i = 0; i < second.digests.size(); ++i) {
    pairs.AddEqual(by_id, data::PhotographId(second.contents.images[i].id), i, SharedBy::kId);
    pairs.AddEqual(by_digest, second.digests[i], i, SharedBy::kContent);
  }
  for (const NearPair& pair : NearDuplicates(first.looks, second.looks)) {
    pairs.Add(pair.first, pair.second, SharedBy::kLooks);
  }
  return pairs.Finish();
}

}  // namespace

std::string SplitOf(const CheckedFolder& checked, size_t image) {
  const auto& split = checked.contents.images[image].split;
  return split ? data::SplitName(*split) : "none";
}

Overlap OverlapOf(const CheckedFolder& first, const CheckedFolder& second) {
  Overlap overlap;
  overlap.pairs = SharedImages(first, second);
  std::set<size_t> shared;
  std::set<std::string> ids;
  for (const SharedImage& pair : overlap.pairs) {
    shared.insert(pair.second);
    ids.insert(first.contents.images[pair.first].id);
  }
  overlap.ids_of_first.assign(ids.begin(), ids.end());
  for (size_t i = 0; i < second.digests.size(); ++i) {
    const size_t is_shared = shared.contains(i) ? 1 : 0;
    for (SplitShare* share : {&overlap.all, &overlap.by_split[SplitOf(second, i)]}) {
      ++share->images;
      share->shared += is_shared;
    }
  }
  return overlap;
}

std::vector<NearPair> LookAlikes(const CheckedFolder& checked) {
  LooksOfImages looks = checked.looks;
  std::set<std::string_view> seen;
  for (size_t i = 0; i < looks.size(); ++i) {
    // Else n copies of one picture were n * n / 2 pairs.
    if (looks[i] && !seen.insert(checked.digests[i]).second) looks[i].reset();
  }
  return NearDuplicatesWithin(looks);
}

}  // namespace g2ll::tool
