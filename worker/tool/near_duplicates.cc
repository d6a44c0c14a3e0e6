#include "worker/tool/near_duplicates.h"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <thread>

#include "worker/data/parallel_for.h"

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

void Visit(const LooksOfImages& first, const LooksOfImages& second, bool is_within,
           const NearVisitor& visit) {
  const HashList from = ListOf(first);
  std::mutex mutex;
  const auto look_at = [&](size_t j) {
    std::vector<NearPair> near;
    if (second[j]) {
      const HashList::Hashes hashes{second[j]->whole.hash, second[j]->middle.hash};
      for (size_t i = 0; i < from.hashes.size(); ++i) {
        const size_t position = from.positions[i];
        if (is_within && position >= j) break;
        if (SmallestDistance(from.hashes[i], hashes) > data::kMaxHashDistance) continue;
        const data::Likeness likeness = data::Compare(*first[position], *second[j]);
        if (likeness.is_near) near.push_back({position, j, likeness});
      }
    }
    const std::lock_guard lock(mutex);
    visit(j, near);
  };
  const auto num_threads = static_cast<int>(std::thread::hardware_concurrency());
  data::ParallelFor(second.size(), num_threads, look_at);
}

}  // namespace

void VisitNearDuplicates(const LooksOfImages& first, const LooksOfImages& second,
                         const NearVisitor& visit) {
  Visit(first, second, /*is_within=*/false, visit);
}

void VisitNearDuplicatesWithin(const LooksOfImages& set, const NearVisitor& visit) {
  Visit(set, set, /*is_within=*/true, visit);
}

}  // namespace g2ll::tool
