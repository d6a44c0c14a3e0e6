#include "server/scheduler/placement.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace g2ll::scheduler {

using cluster::Device;

int32_t SumOf(const std::vector<Share>& places) {
  int32_t ranks = 0;
  for (const Share& share : places) {
    ranks += share.ranks;
  }
  return ranks;
}

int32_t WorldSizes::Largest(int32_t most) const {
  for (int32_t size = std::min({most, max, global_batch}); size >= std::max(1, min); --size) {
    if (global_batch % size == 0) {
      return size;
    }
  }
  return 0;
}

int32_t WorldSizes::Smallest() const {
  for (int32_t size = std::max(1, min); size <= std::min(max, global_batch); ++size) {
    if (global_batch % size == 0) {
      return size;
    }
  }
  return 0;
}

Board::Board(const std::vector<WorkerView>& workers)
    : workers_(workers),
      by_name_(workers.size()),
      position_(workers.size()),
      class_of_(workers.size(), -1),
      free_(workers.size()),
      soon_(workers.size()) {
  std::iota(by_name_.begin(), by_name_.end(), 0);
  std::sort(by_name_.begin(), by_name_.end(),
            [&](int32_t a, int32_t b) { return workers[a].name < workers[b].name; });
  for (size_t position = 0; position < by_name_.size(); ++position) {
    position_[by_name_[position]] = static_cast<int32_t>(position);
  }
  // Classes first: adding one moves the others.
  for (const WorkerView& worker : workers) {
    if (worker.ready && worker.slots > 0) {
      ClassFor(worker);
      most_slots_ = std::max(most_slots_, worker.slots);
    }
    ready_workers_ += worker.ready ? 1 : 0;
  }
  for (Class& of : classes_) {
    of.used.resize(most_slots_ + 1);
    of.whole.resize(most_slots_ + 1);
  }
  for (size_t index = 0; index < workers.size(); ++index) {
    const WorkerView& worker = workers[index];
    if (!worker.ready || worker.slots <= 0) {
      continue;
    }
    Class& of = ClassFor(worker);
    const auto id = static_cast<int32_t>(index);
    class_of_[id] = static_cast<int32_t>(&of - classes_.data());
    of.workers += 1;
    of.slots += worker.slots;
    SetFree(id, std::clamp(worker.free_slots, 0, worker.slots));
  }
}

Board::Class& Board::ClassFor(const WorkerView& worker) {
  // A slot is an equal share of its host's cores; on a GPU host cores are shared
  // in the same way.
  const std::pair key(worker.device, worker.cpus / worker.slots);
  const auto found = std::lower_bound(
      classes_.begin(), classes_.end(), key,
      [](const Class& of, const auto& wanted) { return std::pair(of.device, of.cores) < wanted; });
  if (found != classes_.end() && found->device == key.first && found->cores == key.second) {
    return *found;
  }
  Class of;
  of.device = key.first;
  of.cores = key.second;
  return *classes_.insert(found, std::move(of));
}

bool Board::Matches(const Class& of, const Demand& demand) {
  return of.device == demand.device && of.cores >= demand.cpus_per_rank;
}

bool Board::Accepts(const Demand& demand, int32_t worker) const {
  return class_of_[worker] >= 0 && Matches(classes_[class_of_[worker]], demand) &&
         std::find(demand.excluded.begin(), demand.excluded.end(), worker) ==
             demand.excluded.end() &&
         (demand.avoid == nullptr || !Accepts(*demand.avoid, worker));
}

Device Board::Resolve(Device wanted, int32_t cpus_per_rank, int32_t ranks) const {
  if (wanted != Device::kAuto) {
    return wanted;
  }
  const Supply cuda = SupplyFor({Device::kCuda, cpus_per_rank, {}});
  return cuda.slots >= std::max(1, ranks) ? Device::kCuda : Device::kCpu;
}

void Board::AddSupply(const Class& of, Supply& supply) const {
  supply.slots += of.slots;
  supply.free += of.free;
  supply.soon += of.soon;
  supply.workers += of.workers;
}

void Board::AddSupply(int32_t worker, int32_t sign, Supply& supply) const {
  supply.slots += sign * workers_[worker].slots;
  supply.free += sign * free_[worker];
  supply.soon += sign * soon_[worker];
  supply.workers += sign;
}

Supply Board::SupplyFor(const Demand& demand) const {
  Supply supply;
  for (const Class& of : classes_) {
    const bool is_avoided = demand.avoid != nullptr && Matches(of, *demand.avoid);
    if (Matches(of, demand) && !is_avoided) {
      AddSupply(of, supply);
    }
  }
  for (const int32_t worker : demand.excluded) {
    const int32_t of = class_of_[worker];
    if (of >= 0 && Matches(classes_[of], demand) &&
        (demand.avoid == nullptr || !Matches(classes_[of], *demand.avoid))) {
      AddSupply(worker, -1, supply);
    }
  }
  if (demand.avoid != nullptr) {
    // What is excluded there need not be avoided, though its class is.
    for (const int32_t worker : demand.avoid->excluded) {
      const int32_t of = class_of_[worker];
      if (of >= 0 && Matches(classes_[of], *demand.avoid) && Accepts(demand, worker)) {
        AddSupply(worker, 1, supply);
      }
    }
  }
  return supply;
}

int32_t Board::WorkersWith(Device device) const {
  int32_t workers = 0;
  for (const Class& of : classes_) {
    workers += of.device == device ? of.workers : 0;
  }
  return workers;
}

int32_t Board::MostCores(Device device) const {
  int32_t most = 0;
  for (const Class& of : classes_) {
    most = std::max(most, of.device == device ? of.cores : 0);
  }
  return most;
}

std::set<int32_t>& Board::BucketOf(int32_t worker) {
  Class& of = classes_[class_of_[worker]];
  return (free_[worker] == workers_[worker].slots ? of.whole : of.used)[free_[worker]];
}

void Board::SetFree(int32_t worker, int32_t free) {
  Class& of = classes_[class_of_[worker]];
  if (free_[worker] > 0) {
    BucketOf(worker).erase(position_[worker]);
  }
  of.free += free - free_[worker];
  free_[worker] = free;
  if (free > 0) {
    BucketOf(worker).insert(position_[worker]);
  }
}

void Board::Take(const std::vector<Share>& places) {
  for (const Share& share : places) {
    SetFree(share.worker, free_[share.worker] - share.ranks);
  }
}

void Board::SetSoon(int32_t worker, int32_t soon) {
  classes_[class_of_[worker]].soon += soon - soon_[worker];
  soon_[worker] = soon;
}

void Board::AddSoon(const std::vector<Share>& places) {
  for (const Share& share : places) {
    if (class_of_[share.worker] >= 0) {
      SetSoon(share.worker, soon_[share.worker] + share.ranks);
    }
  }
}

std::vector<Share> Board::FindSoon(const Demand& demand, int32_t ranks) {
  std::vector<Share> before;
  for (size_t index = 0; index < workers_.size(); ++index) {
    const auto worker = static_cast<int32_t>(index);
    if (soon_[worker] > 0) {
      before.push_back({worker, free_[worker]});
      SetFree(worker, std::min(free_[worker] + soon_[worker], workers_[worker].slots));
    }
  }
  std::vector<Share> places = Find(demand, ranks);
  for (const Share& share : before) {
    SetFree(share.worker, share.ranks);
  }
  return places;
}

std::optional<HeldSlots> Board::Hold(const std::vector<Share>& places) {
  HeldSlots held;
  for (const Share& share : places) {
    if (class_of_[share.worker] < 0 || free_[share.worker] + soon_[share.worker] < share.ranks) {
      return std::nullopt;
    }
    const int32_t soon = std::min(soon_[share.worker], share.ranks);
    held.soon.push_back({share.worker, soon});
    held.free.push_back({share.worker, share.ranks - soon});
  }
  for (size_t i = 0; i < places.size(); ++i) {
    SetSoon(held.soon[i].worker, soon_[held.soon[i].worker] - held.soon[i].ranks);
    SetFree(held.free[i].worker, free_[held.free[i].worker] - held.free[i].ranks);
  }
  return held;
}

void Board::Release(const HeldSlots& held) {
  for (const Share& share : held.soon) {
    SetSoon(share.worker, soon_[share.worker] + share.ranks);
  }
  for (const Share& share : held.free) {
    SetFree(share.worker, free_[share.worker] + share.ranks);
  }
}

// For a worker of a class that matches.
bool Board::IsBarred(const Demand& demand, const std::vector<Share>& taken,
                     int32_t position) const {
  const int32_t worker = by_name_[position];
  return std::find(demand.excluded.begin(), demand.excluded.end(), worker) !=
             demand.excluded.end() ||
         (demand.avoid != nullptr && Accepts(*demand.avoid, worker)) ||
         std::any_of(taken.begin(), taken.end(),
                     [&](const Share& share) { return share.worker == worker; });
}

// Position of the first worker of a bucket that may be used, or -1.
int32_t Board::FirstOf(const std::set<int32_t>& bucket, const Demand& demand,
                       const std::vector<Share>& taken) const {
  for (const int32_t position : bucket) {
    if (!IsBarred(demand, taken, position)) {
      return position;
    }
  }
  return -1;
}

// Worker that holds all `ranks` and has the least to spare, or -1.
int32_t Board::Tightest(const Demand& demand, int32_t ranks, bool only_used,
                        const std::vector<Share>& taken) const {
  for (int32_t free = ranks; free <= most_slots_; ++free) {
    int32_t first = -1;
    const auto look_at = [&](const std::set<int32_t>& bucket) {
      const int32_t found = FirstOf(bucket, demand, taken);
      first = found >= 0 && (first < 0 || found < first) ? found : first;
    };
    for (const Class& of : classes_) {
      if (Matches(of, demand)) {
        look_at(of.used[free]);
        if (!only_used) {
          look_at(of.whole[free]);
        }
      }
    }
    if (first >= 0) {
      return by_name_[first];
    }
  }
  return -1;
}

// The fewest workers that hold `ranks` together: the emptiest first, and the last
// one where the least is left over.
std::vector<Share> Board::Spread(const Demand& demand, int32_t ranks) const {
  std::vector<Share> places;
  int32_t left = ranks;
  for (int32_t free = most_slots_; free > 0; --free) {
    for (const Class& of : classes_) {
      if (!Matches(of, demand)) {
        continue;
      }
      for (const Buckets* buckets : {&of.used, &of.whole}) {
        for (const int32_t position : (*buckets)[free]) {
          if (IsBarred(demand, {}, position)) {
            continue;
          }
          if (left <= free) {
            places.push_back({Tightest(demand, left, /*only_used=*/false, places), left});
            return places;
          }
          places.push_back({by_name_[position], free});
          left -= free;
        }
      }
    }
  }
  return {};
}

std::vector<Share> Board::Find(const Demand& demand, int32_t ranks) const {
  if (SupplyFor(demand).free < ranks) {
    return {};
  }
  int32_t worker = ranks == 1 ? Tightest(demand, 1, /*only_used=*/true, {}) : -1;
  if (worker < 0) {
    worker = Tightest(demand, ranks, /*only_used=*/false, {});
  }
  if (worker >= 0) {
    return {{worker, ranks}};
  }
  return Spread(demand, ranks);
}

}  // namespace g2ll::scheduler
