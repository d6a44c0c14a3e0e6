#ifndef SERVER_SCHEDULER_PLACEMENT_H_
#define SERVER_SCHEDULER_PLACEMENT_H_

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "server/scheduler/reasons.h"
#include "server/scheduler/snapshot.h"

namespace g2ll::scheduler {

// What the ranks of a job need of a worker.
struct Demand {
  // Never kAuto.
  cluster::Device device = cluster::Device::kCpu;
  int32_t cpus_per_rank = 0;
  // Workers that it must not use.
  std::span<const int32_t> excluded;
  // Not on workers that ranks with this demand may use; null is no such wish.
  const Demand* avoid = nullptr;
};

// What Board::Hold has put aside.
struct HeldSlots {
  std::vector<Share> soon;
  std::vector<Share> free;
};

// The ready workers and their free slots during one cycle. Workers of one device
// and one share of cores per slot form a class, and within it buckets by free
// slots: looking for places does not walk over workers that cannot help.
class Board {
 public:
  // `workers` outlives the board.
  explicit Board(const std::vector<WorkerView>& workers);

  // `auto` is CUDA where enough ready slots have it, also when they are busy now:
  // waiting for a GPU beats a hundred times slower ranks.
  cluster::Device Resolve(cluster::Device wanted, int32_t cpus_per_rank, int32_t ranks) const;
  Supply SupplyFor(const Demand& demand) const;
  int32_t FreeOf(int32_t worker) const { return free_[worker]; }
  // Whether ranks with this demand may use the worker.
  bool Accepts(const Demand& demand, int32_t worker) const;

  // Places for `ranks` >= 1 ranks; empty if there are too few. Nothing is taken.
  std::vector<Share> Find(const Demand& demand, int32_t ranks) const;
  // `places` MUST be free.
  void Take(const std::vector<Share>& places);

  // Slots of stopping attempts; those on workers that are not ready do not count.
  void AddSoon(const std::vector<Share>& places);
  // As Find, but slots that will come free count as free.
  std::vector<Share> FindSoon(const Demand& demand, int32_t ranks);
  // Keeps slots from others: those that will come free first, then free ones.
  // Nothing if the workers do not have them any more.
  std::optional<HeldSlots> Hold(const std::vector<Share>& places);
  void Release(const HeldSlots& held);

  // For reasons: ready workers, those of a device, and the most cores that a slot
  // of that device has.
  int32_t ready_workers() const { return ready_workers_; }
  int32_t WorkersWith(cluster::Device device) const;
  int32_t MostCores(cluster::Device device) const;

 private:
  // Workers by free slots; those of one bucket in the order of their names.
  using Buckets = std::vector<std::set<int32_t>>;
  // Workers that are alike but for their number of slots.
  struct Class {
    cluster::Device device = cluster::Device::kCpu;
    // Cores of a slot.
    int32_t cores = 0;
    int32_t workers = 0;
    int32_t slots = 0;
    int32_t free = 0;
    int32_t soon = 0;
    // Hold positions in `by_name_`: workers in use, and those wholly free.
    Buckets used;
    Buckets whole;
  };

  // The class as far as every one of its workers goes; `avoid` is not looked at.
  static bool Matches(const Class& of, const Demand& demand);
  void AddSupply(const Class& of, Supply& supply) const;
  void AddSupply(int32_t worker, int32_t sign, Supply& supply) const;
  Class& ClassFor(const WorkerView& worker);
  std::set<int32_t>& BucketOf(int32_t worker);
  void SetFree(int32_t worker, int32_t free);
  void SetSoon(int32_t worker, int32_t soon);
  bool IsBarred(const Demand& demand, const std::vector<Share>& taken, int32_t position) const;
  int32_t FirstOf(const std::set<int32_t>& bucket, const Demand& demand,
                  const std::vector<Share>& taken) const;
  int32_t Tightest(const Demand& demand, int32_t ranks, bool only_used,
                   const std::vector<Share>& taken) const;
  std::vector<Share> Spread(const Demand& demand, int32_t ranks) const;

  const std::vector<WorkerView>& workers_;
  // Worker indices in the order of names, and where each stands in it.
  std::vector<int32_t> by_name_;
  std::vector<int32_t> position_;
  // Class of each worker, -1 if it is not ready; its free slots, and those that
  // will come free.
  std::vector<int32_t> class_of_;
  std::vector<int32_t> free_;
  std::vector<int32_t> soon_;
  std::vector<Class> classes_;
  int32_t most_slots_ = 0;
  int32_t ready_workers_ = 0;
};

}  // namespace g2ll::scheduler

#endif  // SERVER_SCHEDULER_PLACEMENT_H_
