#include "server/scheduler/plan.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace g2ll::scheduler {
namespace {

using cluster::Device;
using cluster::StateReason;

// `1 slot is`, `2 slots are`.
std::string SlotsAre(int64_t count) {
  return absl::StrCat(count, count == 1 ? " slot is" : " slots are");
}

std::string Slots(int64_t count) { return absl::StrCat(count, count == 1 ? " slot" : " slots"); }

// A slot is an equal share of its host's cores; on a GPU host cores are shared
// in the same way.
bool SlotHasCores(const WorkerView& worker, const PendingJob& job) {
  return worker.slots > 0 && job.cpus_per_rank <= worker.cpus / worker.slots;
}

// Free places during one planning cycle.
class Board {
 public:
  explicit Board(const std::vector<WorkerView>& workers) : workers_(workers) {
    std::sort(workers_.begin(), workers_.end(),
              [](const WorkerView& a, const WorkerView& b) { return a.name < b.name; });
  }

  // Workers that the job's ranks may run on, all of one device.
  std::vector<WorkerView*> Eligible(const PendingJob& job) {
    const Device device = Resolve(job);
    std::vector<WorkerView*> eligible;
    for (WorkerView& worker : workers_) {
      if (worker.ready && worker.device == device && SlotHasCores(worker, job)) {
        eligible.push_back(&worker);
      }
    }
    return eligible;
  }

  // `auto` is CUDA where enough ready slots have it, also when they are busy now:
  // waiting for a GPU beats a hundred times slower ranks.
  Device Resolve(const PendingJob& job) const {
    if (job.device != Device::kAuto) {
      return job.device;
    }
    int32_t cuda_slots = 0;
    for (const WorkerView& worker : workers_) {
      if (worker.ready && worker.device == Device::kCuda && SlotHasCores(worker, job)) {
        cuda_slots += worker.slots;
      }
    }
    return cuda_slots >= std::max(1, job.min_ranks) ? Device::kCuda : Device::kCpu;
  }

  const std::vector<WorkerView>& workers() const { return workers_; }

 private:
  std::vector<WorkerView> workers_;
};

// Takes `world_size` places, which `eligible` has, and returns the worker of each rank.
std::vector<std::string> TakePlaces(std::vector<WorkerView*> eligible, int32_t world_size) {
  // One worker that holds the whole gang and has the least to spare.
  WorkerView* tightest = nullptr;
  for (WorkerView* worker : eligible) {
    if (worker->free_slots >= world_size &&
        (tightest == nullptr || worker->free_slots < tightest->free_slots)) {
      tightest = worker;
    }
  }
  if (tightest != nullptr) {
    eligible = {tightest};
  } else {
    // Fewest workers: the emptiest first. The order of names breaks ties.
    std::stable_sort(
        eligible.begin(), eligible.end(),
        [](const WorkerView* a, const WorkerView* b) { return a->free_slots > b->free_slots; });
  }
  std::vector<std::string> places;
  for (WorkerView* worker : eligible) {
    const int32_t left = world_size - static_cast<int32_t>(places.size());
    const int32_t taken = std::min(worker->free_slots, left);
    places.insert(places.end(), static_cast<size_t>(taken), worker->name);
    worker->free_slots -= taken;
  }
  return places;
}

// Reasons that do not depend on places.
std::optional<StateReason> NotYet(const PendingJob& job, absl::Time now) {
  if (!job.unmet_dependencies.empty()) {
    return StateReason{"WAITING_FOR_DEPENDENCY",
                       absl::StrCat("waits for ", absl::StrJoin(job.unmet_dependencies, ", "))};
  }
  if (!job.data_checked) {
    return StateReason{"DATA_NOT_CHECKED",
                       "no worker has looked at data.source yet; the check runs as soon as one is "
                       "ready"};
  }
  if (job.not_before > now) {
    // The moment and not the time left: the reason changes only when its cause does.
    return StateReason{
        "BACKOFF",
        absl::StrCat("starts again at ",
                     absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", job.not_before, absl::UTCTimeZone()),
                     job.last_failure.empty() ? "" : "; ", job.last_failure)};
  }
  return std::nullopt;
}

// Why a job has no place on workers of `device`.
StateReason NoPlace(const Board& board, const PendingJob& job, Device device, int32_t smallest) {
  int32_t ready_workers = 0;
  int32_t with_device = 0;
  int32_t most_cores = 0;
  int32_t slots = 0;
  int32_t free_slots = 0;
  for (const WorkerView& worker : board.workers()) {
    ready_workers += worker.ready ? 1 : 0;
    if (!worker.ready || worker.device != device || worker.slots == 0) {
      continue;
    }
    ++with_device;
    most_cores = std::max(most_cores, worker.cpus / worker.slots);
    if (SlotHasCores(worker, job)) {
      slots += worker.slots;
      free_slots += worker.free_slots;
    }
  }
  if (ready_workers == 0) {
    return {"NO_WORKERS", absl::StrCat("needs ", Slots(smallest), ", but none of ",
                                       board.workers().size(), " known workers is ready")};
  }
  const std::string device_name(cluster::Name(device));
  if (with_device == 0) {
    return {"NO_SUCH_DEVICE",
            absl::StrCat("needs ", Slots(smallest), " with device ", device_name, ", but none of ",
                         ready_workers, " ready workers has it")};
  }
  if (slots == 0) {
    return {"TOO_FEW_CPUS",
            absl::StrCat("asks for ", job.cpus_per_rank,
                         " CPU cores per rank, but a slot has at most ", most_cores)};
  }
  if (slots < smallest) {
    return {"TOO_FEW_SLOTS", absl::StrCat("needs ", Slots(smallest), " with device ", device_name,
                                          ", but the ready workers have only ", slots, " in all")};
  }
  return {"WAITING_FOR_SLOTS", absl::StrCat("needs ", Slots(smallest), " with device ", device_name,
                                            "; ", SlotsAre(free_slots), " free of ", slots)};
}

bool ComesBefore(const PendingJob& a, const PendingJob& b) {
  // A higher priority comes first, so its operands are swapped.
  return std::tie(b.priority, a.queue_time, a.name, a.uid) <
         std::tie(a.priority, b.queue_time, b.name, b.uid);
}

// Head of the line per device, once it waits for slots that others hold.
struct BlockedHeads {
  const PendingJob* cpu = nullptr;
  const PendingJob* cuda = nullptr;

  const PendingJob*& Of(Device device) { return device == Device::kCuda ? cuda : cpu; }
};

}  // namespace

std::vector<int32_t> AllowedWorldSizes(const PendingJob& job) {
  std::vector<int32_t> sizes;
  const int32_t largest = std::min(job.max_ranks, job.global_batch);
  for (int32_t size = largest; size >= std::max(1, job.min_ranks); --size) {
    if (job.global_batch % size == 0) {
      sizes.push_back(size);
    }
  }
  return sizes;
}

Plan PlanNext(const ClusterSnapshot& snapshot, const SchedulingPolicy& policy, absl::Time now) {
  std::vector<const PendingJob*> order;
  for (const PendingJob& job : snapshot.pending) {
    order.push_back(&job);
  }
  std::sort(order.begin(), order.end(),
            [](const PendingJob* a, const PendingJob* b) { return ComesBefore(*a, *b); });

  Plan plan;
  Board board(snapshot.workers);
  BlockedHeads blocked;
  for (const PendingJob* job : order) {
    if (std::optional<StateReason> reason = NotYet(*job, now); reason.has_value()) {
      plan.wait.push_back({job->uid, *std::move(reason)});
      continue;
    }
    const std::vector<int32_t> sizes = AllowedWorldSizes(*job);
    if (sizes.empty()) {
      plan.wait.push_back(
          {job->uid,
           {"UNSATISFIABLE", absl::StrCat("train.globalBatch ", job->global_batch,
                                          " is a multiple of no number of ranks from ",
                                          job->min_ranks, " to ", job->max_ranks)}});
      continue;
    }
    const Device device = board.Resolve(*job);
    if (const PendingJob* head = blocked.Of(device); head != nullptr) {
      plan.wait.push_back({job->uid,
                           {"WAITING_BEHIND", absl::StrCat("waits behind ", head->name,
                                                           ", which is next for slots with device ",
                                                           std::string(cluster::Name(device)))}});
      continue;
    }
    std::vector<WorkerView*> eligible = board.Eligible(*job);
    int32_t free_slots = 0;
    for (const WorkerView* worker : eligible) {
      free_slots += worker->free_slots;
    }
    const auto fits =
        std::find_if(sizes.begin(), sizes.end(), [&](int32_t size) { return size <= free_slots; });
    if (fits != sizes.end()) {
      plan.start.push_back({job->uid, TakePlaces(std::move(eligible), *fits)});
      continue;
    }
    StateReason reason = NoPlace(board, *job, device, sizes.back());
    if (policy.strict_order && reason.code == "WAITING_FOR_SLOTS") {
      blocked.Of(device) = job;
    }
    plan.wait.push_back({job->uid, std::move(reason)});
  }
  return plan;
}

}  // namespace g2ll::scheduler
