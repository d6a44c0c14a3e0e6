#include "worker/tool/folder_overlap.h"

#include <set>
#include <string_view>
#include <utility>

#include "worker/data/photograph_id.h"
#include "worker/data/subset.h"
#include "worker/tool/first_pairs.h"

namespace g2ll::tool {
namespace {

// Finds the images of one folder that an image of another is.
class Matcher {
 public:
  Matcher(const CheckedFolder& first, const CheckedFolder& second)
      : first_(first), second_(second) {
    for (size_t i = 0; i < first.digests.size(); ++i) {
      by_id_.emplace(data::PhotographId(first.contents.images[i].id), i);
      if (!first.digests[i].empty()) by_digest_.emplace(first.digests[i], i);
    }
  }

  // By position in the first folder; `near` are those that `second` looks like.
  std::vector<SharedImage> Matches(size_t second, const std::vector<NearPair>& near) const {
    std::map<size_t, SharedImage> matches;
    AddEqual(by_id_, data::PhotographId(second_.contents.images[second].id),
             {.second = second, .by = SharedBy::kId}, matches);
    AddEqual(by_digest_, second_.digests[second], {.second = second, .by = SharedBy::kContent},
             matches);
    for (const NearPair& pair : near) {
      const SharedImage match{pair.first, second, SharedBy::kLooks, std::nullopt};
      matches.try_emplace(pair.first, match).first->second.likeness = pair.likeness;
    }
    std::vector<SharedImage> list;
    for (auto& [first, match] : matches) {
      const auto& a = first_.looks[first];
      const auto& b = second_.looks[second];
      if (!match.likeness && a && b) match.likeness = data::Compare(*a, *b);
      list.push_back(match);
    }
    return list;
  }

 private:
  using Positions = std::multimap<std::string, size_t, std::less<>>;

  static void AddEqual(const Positions& positions, std::string_view key, SharedImage match,
                       std::map<size_t, SharedImage>& matches) {
    const auto [begin, end] = positions.equal_range(key);
    for (auto entry = begin; entry != end; ++entry) {
      match.first = entry->second;
      matches.try_emplace(match.first, match);
    }
  }

  const CheckedFolder& first_;
  const CheckedFolder& second_;
  Positions by_id_;
  Positions by_digest_;
};

}  // namespace

std::string SplitOf(const CheckedFolder& checked, size_t image) {
  const auto& split = checked.contents.images[image].split;
  return split ? data::SplitName(*split) : "none";
}

Overlap OverlapOf(const CheckedFolder& first, const CheckedFolder& second) {
  const Matcher matcher(first, second);
  Overlap overlap;
  FirstPairs<SharedImage> pairs(kMaxListedPairs);
  std::vector<bool> is_shared(first.looks.size(), false);
  VisitNearDuplicates(first.looks, second.looks, [&](size_t j, const std::vector<NearPair>& near) {
    const std::vector<SharedImage> matches = matcher.Matches(j, near);
    for (SplitShare* share : {&overlap.all, &overlap.by_split[SplitOf(second, j)]}) {
      ++share->images;
      share->shared += matches.empty() ? 0 : 1;
    }
    for (const SharedImage& match : matches) {
      is_shared[match.first] = true;
      pairs.Add(match);
    }
  });
  overlap.num_pairs = pairs.count();
  overlap.pairs = std::move(pairs).Finish();
  std::set<std::string> ids;
  for (size_t i = 0; i < is_shared.size(); ++i) {
    if (is_shared[i]) ids.insert(first.contents.images[i].id);
  }
  overlap.ids_of_first.assign(ids.begin(), ids.end());
  return overlap;
}

LookAlikes LookAlikesOf(const CheckedFolder& checked) {
  LooksOfImages looks = checked.looks;
  std::set<std::string_view> seen;
  for (size_t i = 0; i < looks.size(); ++i) {
    // Else n copies of one picture were n * n / 2 pairs.
    if (looks[i] && !seen.insert(checked.digests[i]).second) looks[i].reset();
  }
  LookAlikes alike;
  FirstPairs<NearPair> pairs(LookAlikes::kMaxListed);
  VisitNearDuplicatesWithin(looks, [&](size_t j, const std::vector<NearPair>& near) {
    const std::string split = SplitOf(checked, j);
    for (const NearPair& pair : near) {
      pairs.Add(pair);
      alike.num_between_splits += SplitOf(checked, pair.first) == split ? 0 : 1;
    }
  });
  alike.num_pairs = pairs.count();
  alike.pairs = std::move(pairs).Finish();
  return alike;
}

}  // namespace g2ll::tool
