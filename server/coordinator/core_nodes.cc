// What operators and broken hardware make of a worker: whether it gets work, and what
// becomes of the jobs there.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptRecord;
using cluster::Device;
using cluster::ExcludedWorker;
using cluster::FailureClass;
using cluster::JobRecord;
using cluster::JobState;
using cluster::Schedulable;
using cluster::WorkerState;
using cluster::WorkerWish;

// So many faults of a worker's hardware within the window put it in quarantine.
constexpr int kHardwareFaults = 2;
constexpr absl::Duration kFaultWindow = absl::Hours(24);

const char* NameOfWish(Schedulable schedulable) {
  switch (schedulable) {
    case Schedulable::kAllowed:
      return "gets work";
    case Schedulable::kCordoned:
      return "is cordoned";
    case Schedulable::kDraining:
      return "is drained";
    case Schedulable::kQuarantined:
      return "is in quarantine";
  }
  return "";
}

bool IsPlaced(JobState state) {
  return state == JobState::kStarting || state == JobState::kRunning;
}

}  // namespace

absl::StatusOr<cluster::WorkerRecord> Core::GetWorker(const std::string& name) const {
  const auto found = workers_.find(name);
  if (found == workers_.end()) {
    return net::WithReason(
        absl::NotFoundError(absl::StrCat("worker ", name,
                                         " has not been heard of since the "
                                         "coordinator started: `g2ll workers list` names those "
                                         "that have")),
        "WORKER_NOT_FOUND", {{"worker", name}});
  }
  return RecordOf(name, found->second);
}

absl::StatusOr<cluster::WorkerRecord> Core::SetWorkerWish(const std::string& name,
                                                          Schedulable schedulable,
                                                          const std::string& reason,
                                                          absl::Time now) {
  G2LL_RETURN_IF_ERROR(GetWorker(name).status());
  StoreWish({name, schedulable, schedulable == Schedulable::kAllowed ? "" : reason, now});
  if (schedulable == Schedulable::kAllowed) {
    // An operator vouches for it that nothing runs there that the worker does not report.
    workers_.at(name).unknown.clear();
  }
  DrainWorkers(now);
  return GetWorker(name);
}

void Core::StoreWish(WorkerWish wish) {
  const auto current = wishes_.find(wish.worker);
  const Schedulable before =
      current == wishes_.end() ? Schedulable::kAllowed : current->second.schedulable;
  if (before == wish.schedulable &&
      (current == wishes_.end() || current->second.reason == wish.reason)) {
    return;
  }
  log::Info(
      "worker changed",
      {{"worker", wish.worker}, {"wish", NameOfWish(wish.schedulable)}, {"reason", wish.reason}});
  batch_.wishes.push_back(wish);
  must_schedule_ = true;
  const std::string name = wish.worker;
  if (wish.schedulable == Schedulable::kAllowed) {
    wishes_.erase(name);
  } else {
    wishes_[name] = std::move(wish);
  }
}

// Everything on a worker that is drained stops at a checkpoint, to go on elsewhere. Also
// what was only placed there when the wish came.
void Core::DrainWorkers(absl::Time now) {
  for (const auto& [name, wish] : wishes_) {
    if (wish.schedulable != Schedulable::kDraining) {
      continue;
    }
    const std::set<std::string> jobs = JobsOn(name);
    for (const std::string& uid : jobs) {
      if (!IsPlaced(Find(uid)->state)) {
        continue;
      }
      const std::string why = absl::StrCat("worker ", name, " is drained",
                                           wish.reason.empty() ? "" : ": ", wish.reason);
      // STARTING and RUNNING can always be preempted.
      AskToStop(uid,
                {.event = cluster::JobEvent::kPreemptAsked,
                 .reason = {"WORKER_DRAINED", why},
                 .actor = "coordinator"},
                now)
          .IgnoreError();
    }
  }
}

void Core::CountHardwareFault(const std::string& name, absl::Time now) {
  int faults = 0;
  for (const auto& [uid, job] : jobs_) {
    faults += static_cast<int>(std::count_if(
        job->attempts.begin(), job->attempts.end(), [&](const AttemptRecord& attempt) {
          return attempt.failure.has_value() && attempt.failure->worker == name &&
                 attempt.failure->failure_class == FailureClass::kHardware &&
                 now - attempt.end_time < kFaultWindow;
        }));
  }
  if (faults < kHardwareFaults || wishes_.contains(name)) {
    return;
  }
  StoreWish({name, Schedulable::kQuarantined,
             absl::StrCat(faults, " hardware faults within ", absl::FormatDuration(kFaultWindow),
                          ": look at the host, then uncordon it"),
             now});
}

bool Core::CanHold(const JobRecord& job, const std::vector<ExcludedWorker>& excluded) const {
  std::map<Device, int64_t> slots;
  for (const auto& [name, worker] : workers_) {
    const cluster::Inventory& inventory = worker.record.report.inventory;
    const bool avoided = std::any_of(excluded.begin(), excluded.end(),
                                     [&](const auto& entry) { return entry.worker == name; });
    if (!avoided && worker.reported && worker.record.state != WorkerState::kLost &&
        !wishes_.contains(name) && inventory.slots > 0 &&
        inventory.cpus / inventory.slots >= job.cpus_per_rank) {
      slots[inventory.device] += inventory.slots;
    }
  }
  Device device = job.device;
  if (device == Device::kAuto && !job.attempts.empty()) {
    // What it ran on until now: it must not move from GPUs to CPUs unasked.
    const auto worker = workers_.find(job.attempts.back().workers.front());
    device =
        worker == workers_.end() ? Device::kCpu : worker->second.record.report.inventory.device;
  }
  return slots[device] >= job.min_ranks;
}

void Core::LiftExclusions(absl::Time now) {
  const std::set<std::string> unfinished = unfinished_;
  for (const std::string& uid : unfinished) {
    const JobPtr job = Find(uid);
    if (job->state != JobState::kPending || job->excluded_workers.empty() ||
        CanHold(*job, job->excluded_workers) || !CanHold(*job, {})) {
      continue;
    }
    Edit(uid).excluded_workers.clear();
    AddEvent(uid, "coordinator", "EXCLUSIONS_LIFTED",
             "may be placed on the workers that it avoided: without them there are too few", now);
    must_schedule_ = true;
  }
}

}  // namespace g2ll::coordinator
