#include "worker/tool/near_duplicates.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <tuple>

namespace g2ll::tool {
namespace {

// The hashes of one set, close together in memory, with their positions.
struct HashList {
  struct Hashes {
    uint64_t whole = 0;
    uint64_t middle = 0;
  };
  std::vector<Hashes> hashes;
  std::vector<size_t> positions;
};

HashList ListOf(const LooksOfImages& set) {
  HashList list;
  for (size_t i = 0; i < set.size(); ++i) {
    if (!set[i]) continue;
    list.hashes.push_back({set[i]->whole.hash, set[i]->middle.hash});
    list.positions.push_back(i);
  }
  return list;
}

// The smallest of the distances that data::Compare looks at.
int SmallestDistance(const HashList::Hashes& a, const HashList::Hashes& b) {
  return std::min({data::HashDistance(a.whole, b.whole), data::HashDistance(a.whole, b.middle),
                   data::HashDistance(a.middle, b.whole)});
}

std::vector<NearPair> Search(const LooksOfImages& first, const LooksOfImages& second,
                             bool is_within) {
  const HashList from = ListOf(first);
  const HashList to = ListOf(second);
  std::vector<std::vector<NearPair>> found(std::max(1U, std::thread::hardware_concurrency()));
  std::atomic<size_t> next = 0;
  const auto work = [&](std::vector<NearPair>& pairs) {
    for (size_t j = next++; j < to.hashes.size(); j = next++) {
      const size_t end = is_within ? j : from.hashes.size();
      for (size_t i = 0; i < end; ++i) {
        const int distance = SmallestDistance(from.hashes[i], to.hashes[j]);
        if (distance > data::kMaxHashDistance) continue;
        const size_t a = from.positions[i];
        const size_t b = to.positions[j];
        const data::Likeness likeness = data::Compare(*first[a], *second[b]);
        if (likeness.is_near) pairs.push_back({a, b, likeness});
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::vector<NearPair>& pairs : found) threads.emplace_back([&] { work(pairs); });
  }
  std::vector<NearPair> all;
  for (const std::vector<NearPair>& pairs : found)
    all.insert(all.end(), pairs.begin(), pairs.end());
  std::sort(all.begin(), all.end(), [](const NearPair& a, const NearPair& b) {
    return std::tie(a.second, a.first) < std::tie(b.second, b.first);
  });
  return all;
}

}  // namespace

std::vector<NearPair> NearDuplicates(const LooksOfImages& first, const LooksOfImages& second) {
  return Search(first, second, /*is_within=*/false);
}

std::vector<NearPair> NearDuplicatesWithin(const LooksOfImages& set) {
  return Search(set, set, /*is_within=*/true);
}

}  // namespace g2ll::tool
