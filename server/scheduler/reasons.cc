#include "server/scheduler/reasons.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace g2ll::scheduler {
namespace {

std::string Counted(int64_t count, const char* one, const char* many) {
  return absl::StrCat(count, " ", count == 1 ? one : many);
}

std::string Slots(int64_t count) { return Counted(count, "slot", "slots"); }

// `projects/default/jobs/a`.
std::string FullName(const ClusterSnapshot& snapshot, const PendingJob& job) {
  return absl::StrCat("projects/", std::string(snapshot.projects[job.project].name), "/jobs/",
                      std::string(job.name));
}

std::string Moment(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string OfDevice(const KeepWaiting& waiting) {
  return absl::StrCat(Slots(waiting.need), " with device ",
                      std::string(cluster::Name(waiting.device)));
}

std::string NoWorkers(const ClusterSnapshot& snapshot, const KeepWaiting& waiting) {
  const auto cordoned = std::count_if(snapshot.workers.begin(), snapshot.workers.end(),
                                      [](const WorkerView& worker) { return worker.cordoned; });
  return absl::StrCat("needs ", Slots(waiting.need), ", but none of ", snapshot.workers.size(),
                      " known workers is ready",
                      cordoned == 0 ? "" : absl::StrCat(" (", cordoned, " cordoned)"));
}

std::string NoSuchDevice(const ClusterSnapshot& snapshot, const KeepWaiting& waiting) {
  const auto ready = std::count_if(snapshot.workers.begin(), snapshot.workers.end(),
                                   [](const WorkerView& worker) { return worker.ready; });
  return absl::StrCat("needs ", OfDevice(waiting), ", but none of ", ready,
                      " ready workers has it");
}

std::string TooFewCpus(const ClusterSnapshot& snapshot, const KeepWaiting& waiting) {
  int32_t most = 0;
  for (const WorkerView& worker : snapshot.workers) {
    if (worker.ready && worker.slots > 0 && worker.device == waiting.device) {
      most = std::max(most, worker.cpus / worker.slots);
    }
  }
  return absl::StrCat("asks for ", snapshot.pending[waiting.job].cpus_per_rank,
                      " CPU cores per rank, but a slot has at most ", most);
}

std::string ExcludedWorkers(const ClusterSnapshot& snapshot, const KeepWaiting& waiting) {
  std::string names;
  for (const int32_t worker : snapshot.pending[waiting.job].excluded_workers) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", std::string(snapshot.workers[worker].name));
  }
  return absl::StrCat("needs ", OfDevice(waiting), ", but without the workers that failed it (",
                      names, ") there are only ", waiting.supply.slots);
}

std::string WaitingForSlots(const ClusterSnapshot& snapshot, const KeepWaiting& waiting) {
  std::string text = absl::StrCat("needs ", OfDevice(waiting), "; ",
                                  Counted(waiting.supply.free, "slot is", "slots are"), " free of ",
                                  waiting.supply.slots);
  int32_t unknown = 0;
  for (const WorkerView& worker : snapshot.workers) {
    unknown += worker.ready && worker.device == waiting.device ? worker.unknown_slots : 0;
  }
  if (waiting.estimated_start != absl::InfiniteFuture()) {
    absl::StrAppend(&text, "; can start at about ", Moment(waiting.estimated_start));
  }
  if (waiting.supply.soon > 0) {
    absl::StrAppend(&text, "; ", Slots(waiting.supply.soon), " will come free soon");
  }
  if (unknown > 0) {
    absl::StrAppend(&text, "; ", unknown, " may still be in use by ranks that were given up");
  }
  return text;
}

std::string WaitingForPreemption(const KeepWaiting& waiting) {
  return absl::StrCat("needs ", OfDevice(waiting), "; ",
                      Counted(waiting.coming, "slot is", "slots are"),
                      " being freed for it by attempts that were asked to stop");
}

std::string QueueHeld(const QueueView& queue) {
  return absl::StrCat(
      "queue ", std::string(queue.name),
      " is held: ", queue.held_for.empty() ? "nothing of it starts" : std::string(queue.held_for));
}

std::string QuotaExceeded(const ClusterSnapshot& snapshot, const KeepWaiting& waiting) {
  const std::string project(snapshot.projects[snapshot.pending[waiting.job].project].name);
  const std::string used = absl::StrCat(waiting.quota_used);
  const std::string limit = absl::StrCat(waiting.quota_limit);
  switch (waiting.quota) {
    case QuotaLimit::kRunningSlots:
      return absl::StrCat("needs ", Slots(waiting.need), "; project ", project, " runs ", used,
                          " of at most ", limit);
    case QuotaLimit::kRunningJobs:
      return absl::StrCat("project ", project, " runs ", used, " jobs of at most ", limit);
    case QuotaLimit::kSlotHours:
      return absl::StrCat("project ", project, " has used ", used, " slot-hours of its budget of ",
                          limit);
    case QuotaLimit::kNone:
      return "";
  }
  return "";
}

std::string WaitingForDependency(const PendingJob& job) {
  std::string text = "waits for ";
  for (const UnmetDependency& parent : job.unmet_dependencies) {
    absl::StrAppend(&text, &parent == &job.unmet_dependencies.front() ? "job " : ", job ",
                    std::string(parent.name), " (", std::string(cluster::Name(parent.state)), ")");
  }
  return text;
}

std::string Unsatisfiable(const PendingJob& job) {
  return absl::StrCat("train.globalBatch ", job.sizes.global_batch,
                      " is a multiple of no number of ranks from ", job.sizes.min, " to ",
                      job.sizes.max);
}

std::string MessageOf(const ClusterSnapshot& snapshot, const KeepWaiting& waiting) {
  const PendingJob& job = snapshot.pending[waiting.job];
  switch (waiting.code) {
    case WaitCode::kHeld:
      return job.held_for.empty() ? "held" : absl::StrCat("held: ", std::string(job.held_for));
    case WaitCode::kQueueHeld:
      return QueueHeld(snapshot.queues[job.queue]);
    case WaitCode::kQuotaExceeded:
      return QuotaExceeded(snapshot, waiting);
    case WaitCode::kWaitingForDependency:
      return WaitingForDependency(job);
    case WaitCode::kDataNotChecked:
      return "no worker has looked at data.source yet; the check runs as soon as one is ready";
    case WaitCode::kBackoff:
      return absl::StrCat("starts again at ", Moment(job.not_before),
                          job.last_failure.empty() ? "" : "; ", job.last_failure);
    case WaitCode::kUnsatisfiable:
      return Unsatisfiable(job);
    case WaitCode::kNoWorkers:
      return NoWorkers(snapshot, waiting);
    case WaitCode::kNoSuchDevice:
      return NoSuchDevice(snapshot, waiting);
    case WaitCode::kTooFewCpus:
      return TooFewCpus(snapshot, waiting);
    case WaitCode::kTooFewSlots:
      return absl::StrCat("needs ", OfDevice(waiting), ", but the ready workers have only ",
                          waiting.supply.slots, " in all");
    case WaitCode::kExcludedWorkers:
      return ExcludedWorkers(snapshot, waiting);
    case WaitCode::kWaitingForSlots:
      return WaitingForSlots(snapshot, waiting);
    case WaitCode::kWaitingBehind:
      return absl::StrCat(
          "needs ", OfDevice(waiting), "; waits behind ",
          FullName(snapshot, snapshot.pending[waiting.behind]), ", which is next for them; ",
          Counted(waiting.supply.free, "slot is", "slots are"), " free of ", waiting.supply.slots);
    case WaitCode::kWaitingForPreemption:
      return WaitingForPreemption(waiting);
  }
  return "";
}

}  // namespace

std::string_view Name(WaitCode code) {
  switch (code) {
    case WaitCode::kHeld:
      return "HELD";
    case WaitCode::kQueueHeld:
      return "QUEUE_HELD";
    case WaitCode::kQuotaExceeded:
      return "QUOTA_EXCEEDED";
    case WaitCode::kWaitingForDependency:
      return "WAITING_FOR_DEPENDENCY";
    case WaitCode::kDataNotChecked:
      return "DATA_NOT_CHECKED";
    case WaitCode::kBackoff:
      return "BACKOFF";
    case WaitCode::kUnsatisfiable:
      return "UNSATISFIABLE";
    case WaitCode::kNoWorkers:
      return "NO_WORKERS";
    case WaitCode::kNoSuchDevice:
      return "NO_SUCH_DEVICE";
    case WaitCode::kTooFewCpus:
      return "TOO_FEW_CPUS";
    case WaitCode::kTooFewSlots:
      return "TOO_FEW_SLOTS";
    case WaitCode::kExcludedWorkers:
      return "EXCLUDED_WORKERS";
    case WaitCode::kWaitingForSlots:
      return "WAITING_FOR_SLOTS";
    case WaitCode::kWaitingBehind:
      return "WAITING_BEHIND";
    case WaitCode::kWaitingForPreemption:
      return "WAITING_FOR_PREEMPTION";
  }
  return "";
}

cluster::StateReason ReasonOf(const ClusterSnapshot& snapshot, const KeepWaiting& waiting) {
  return {std::string(Name(waiting.code)), MessageOf(snapshot, waiting)};
}

}  // namespace g2ll::scheduler
