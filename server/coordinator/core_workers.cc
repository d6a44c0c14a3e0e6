// Workers: sessions, leases and the state that each should have.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {
namespace {

using cluster::AttemptPhase;
using cluster::AttemptRecord;
using cluster::AttemptState;
using cluster::DesiredAttempt;
using cluster::WorkerReport;
using cluster::WorkerState;

constexpr int32_t kMostSlots = 1024;
constexpr size_t kMostSuperseded = 16;

absl::Status CheckWorker(const WorkerReport& report) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  };
  std::string fault;
  if (report.worker.empty() || report.worker.size() > 63 ||
      !std::all_of(report.worker.begin(), report.worker.end(), allowed)) {
    fault = "worker: a name of 1 to 63 characters of a-z, 0-9, '.' and '-' is needed";
  } else if (report.incarnation.empty() || report.incarnation.size() > 128) {
    fault = "incarnation: 1 to 128 characters are needed";
  } else if (report.inventory.slots < 1 || report.inventory.slots > kMostSlots) {
    fault = absl::StrCat("inventory.slots: ", report.inventory.slots, " is not allowed, 1 to ",
                         kMostSlots, " are");
  }
  if (fault.empty()) {
    return absl::OkStatus();
  }
  return net::WithReason(absl::InvalidArgumentError(fault), "INVALID_WORKER");
}

AttemptPhase WantedPhase(const AttemptRecord& attempt) {
  if (attempt.kill) {
    return AttemptPhase::kKill;
  }
  switch (attempt.state) {
    case AttemptState::kPreparing:
      return AttemptPhase::kPrepare;
    case AttemptState::kRendezvous:
      return AttemptPhase::kRun;
    case AttemptState::kRunning:
      return IsEnding(attempt) ? AttemptPhase::kDrain : AttemptPhase::kRun;
    case AttemptState::kStopping:
    case AttemptState::kEnded:
      return AttemptPhase::kStop;
  }
  return AttemptPhase::kStop;
}

}  // namespace

absl::StatusOr<int64_t> Core::OpenSession(const WorkerReport& report,
                                          std::shared_ptr<WorkerSession> session, absl::Time now) {
  G2LL_RETURN_IF_ERROR(CheckWorker(report));
  Worker& worker = workers_[report.worker];
  const std::deque<std::string>& superseded = worker.superseded;
  if (std::find(superseded.begin(), superseded.end(), report.incarnation) != superseded.end()) {
    return net::WithReason(
        absl::AbortedError(absl::StrCat("worker ", report.worker, " has been started again as ",
                                        worker.record.report.incarnation)),
        "SUPERSEDED");
  }
  if (worker.session != nullptr) {
    worker.session->Close(net::WithReason(
        absl::AbortedError(absl::StrCat("worker ", report.worker, " has opened a newer session")),
        "SUPERSEDED"));
  }
  if (worker.reported && worker.record.report.incarnation != report.incarnation) {
    worker.superseded.push_back(worker.record.report.incarnation);
    if (worker.superseded.size() > kMostSuperseded) {
      worker.superseded.pop_front();
    }
  }
  worker.session = std::move(session);
  worker.session_id = next_number_++;
  worker.incarnation = report.incarnation;
  must_schedule_ = true;  // It can take work again.
  // A new session has seen nothing yet.
  worker.pushed = {};
  log::Info("worker connected", {{"worker", report.worker},
                                 {"incarnation", report.incarnation},
                                 {"slots", report.inventory.slots},
                                 {"device", cluster::Name(report.inventory.device)}});
  const int64_t session_id = worker.session_id;
  ReportWorker(report, session_id, now);
  return session_id;
}

void Core::ReportWorker(WorkerReport report, int64_t session_id, absl::Time now) {
  const std::string name = report.worker;
  const auto found = workers_.find(name);
  if (found == workers_.end() || found->second.session_id != session_id ||
      found->second.incarnation != report.incarnation) {
    return;  // A superseded session still had a message on its way.
  }
  Worker& worker = found->second;
  const WorkerReport& newest = worker.record.report;
  if (worker.reported && newest.incarnation == report.incarnation && report.sequence != 0 &&
      report.sequence <= newest.sequence) {
    return;  // Repeated, or overtaken by a newer one.
  }
  if (const absl::Status bad = CheckWorker(report); !bad.ok()) {
    if (worker.session != nullptr) {
      worker.session->Close(bad);
    }
    return;
  }
  const std::vector<cluster::DataCheckResult> results = std::move(report.data_checks);
  report.data_checks.clear();
  worker.record.report = std::move(report);
  worker.record.last_heartbeat = now;
  worker.heard = now;
  worker.reported = true;
  // It says itself what still runs there.
  worker.unknown.clear();
  const std::set<std::string> concerned = NoteAttempts(worker, now);
  Judge(worker, now);
  for (const cluster::DataCheckResult& result : results) {
    TakeCheckResult(name, result, now);
  }
  for (const std::string& uid : concerned) {
    Reconcile(uid, now);
  }
  std::erase_if(worker.seen,
                [&](const auto& entry) { return !unfinished_.contains(entry.first.first); });
  worker.owes_answer = true;
  stale_workers_.insert(name);
}

// Keeps what the newest report shows of attempts. Returns the jobs that it concerns: those
// that it names, and those that it should name.
std::set<std::string> Core::NoteAttempts(Worker& worker, absl::Time now) {
  const WorkerReport& report = worker.record.report;
  std::set<std::string> concerned = JobsOn(report.worker);
  for (const cluster::AttemptStatus& status : report.attempts) {
    concerned.insert(status.job_uid);
    const auto [entry, is_new] = worker.seen.try_emplace({status.job_uid, status.epoch});
    Seen& seen = entry->second;
    if (is_new) {
      seen.incarnation = report.incarnation;
    }
    if (status.progress.has_value() && status.progress->step > seen.step) {
      seen.step = status.progress->step;
      seen.step_time = now;
    }
  }
  return concerned;
}

void Core::CloseSession(const std::string& name, int64_t session_id, absl::Time now) {
  const auto worker = workers_.find(name);
  if (worker != workers_.end() && worker->second.session_id == session_id) {
    worker->second.session = nullptr;
    worker->second.closed = now;
    must_schedule_ = true;
    log::Info("worker disconnected", {{"worker", name}});
  }
}

void Core::CloseAll(const absl::Status& status) {
  closed_ = status;
  for (auto& [name, worker] : workers_) {
    if (worker.session != nullptr) {
      worker.session->Close(status);
      worker.session = nullptr;
    }
  }
  for (const auto& [id, check] : std::exchange(checks_, {})) {
    for (const CheckWaiter& waiter : check.waiters) {
      if (waiter.creation.has_value()) {
        AnswerJob(waiter.creation->answer, status);
      }
    }
  }
  checks_at_.clear();
  check_of_data_.clear();
}

bool Core::IsRecovering(absl::Time now) const {
  return now < recovery_end_ &&
         std::any_of(workers_.begin(), workers_.end(),
                     [](const auto& entry) { return !entry.second.reported; });
}

void Core::Judge(Worker& worker, absl::Time now) {
  const WorkerReport& report = worker.record.report;
  const absl::Duration silence = now - worker.heard;
  if (silence >= options_.lost_after && now >= recovery_end_) {
    SetWorkerState(
        worker, WorkerState::kLost,
        absl::StrCat("nothing heard since ",
                     absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", worker.heard, absl::UTCTimeZone())));
  } else if (!worker.reported || silence >= options_.lease) {
    SetWorkerState(
        worker, WorkerState::kSuspect,
        worker.reported ? "its lease has run out" : "not heard of since the coordinator started");
  } else if (!report.inventory.storage_error.empty()) {
    SetWorkerState(worker, WorkerState::kUnusable,
                   absl::StrCat("storage root: ", report.inventory.storage_error));
  } else if (report.inventory.storage_token != options_.storage_token) {
    SetWorkerState(worker, WorkerState::kUnusable,
                   "its storage root is not the coordinator's (the token file differs): give both "
                   "the same --storage-root");
  } else if (report.draining) {
    SetWorkerState(worker, WorkerState::kUnusable, "is going away");
  } else {
    SetWorkerState(worker, WorkerState::kReady, "");
  }
}

void Core::SetWorkerState(Worker& worker, WorkerState state, std::string message) {
  if (worker.record.state != state) {
    must_schedule_ = true;
    if (state != WorkerState::kReady) {
      log::Warning("worker changed", {{"worker", worker.record.report.worker},
                                      {"state", cluster::Name(state)},
                                      {"message", message}});
    } else {
      log::Info("worker changed",
                {{"worker", worker.record.report.worker}, {"state", cluster::Name(state)}});
    }
  }
  worker.record.state = state;
  worker.record.message = std::move(message);
}

void Core::IndexPlacement(const cluster::JobRecord& job) {
  if (job.attempts.empty()) {
    return;
  }
  const bool placed = job.LiveAttempt() != nullptr;
  if (placed) {
    placed_.insert(job.uid);
  } else {
    placed_.erase(job.uid);
  }
  for (const std::string& worker : job.attempts.back().workers) {
    if (placed) {
      placed_on_[worker].insert(job.uid);
      continue;
    }
    const auto jobs = placed_on_.find(worker);
    if (jobs != placed_on_.end() && jobs->second.erase(job.uid) > 0 && jobs->second.empty()) {
      placed_on_.erase(jobs);
    }
  }
}

const std::set<std::string>& Core::JobsOn(const std::string& worker) const {
  static const std::set<std::string> kNone;
  const auto jobs = placed_on_.find(worker);
  return jobs == placed_on_.end() ? kNone : jobs->second;
}

int32_t Core::UnknownSlots(const Worker& worker) {
  int32_t slots = 0;
  for (const auto& [attempt, ranks] : worker.unknown) {
    slots += ranks;
  }
  return slots;
}

bool Core::IsWanted(const std::string& name, const AttemptId& id) const {
  const JobPtr job = Find(id.first);
  const AttemptRecord* attempt = job == nullptr ? nullptr : job->LiveAttempt();
  return attempt != nullptr && attempt->epoch == id.second && JobsOn(name).contains(id.first);
}

// Slots that no live attempt holds and in which nothing left over still runs.
int32_t Core::FreeSlots(const std::string& name, const Worker& worker) const {
  int64_t used = UnknownSlots(worker);
  for (const std::string& uid : JobsOn(name)) {
    const AttemptRecord* attempt = jobs_.at(uid)->LiveAttempt();
    used += std::count(attempt->workers.begin(), attempt->workers.end(), name);
  }
  for (const cluster::AttemptStatus& status : worker.record.report.attempts) {
    if (status.phase != AttemptPhase::kEnded && !IsWanted(name, {status.job_uid, status.epoch})) {
      used += static_cast<int64_t>(status.ranks.size());
    }
  }
  return static_cast<int32_t>(std::max<int64_t>(0, worker.record.report.inventory.slots - used));
}

bool Core::TakesWork(const std::string& name, const Worker& worker) const {
  return worker.record.state == WorkerState::kReady && worker.session != nullptr &&
         !wishes_.contains(name);
}

cluster::WorkerRecord Core::RecordOf(const std::string& name, const Worker& worker) const {
  cluster::WorkerRecord record = worker.record;
  record.free_slots = record.state == WorkerState::kLost ? 0 : FreeSlots(name, worker);
  record.unknown_slots = UnknownSlots(worker);
  if (const auto wish = wishes_.find(name); wish != wishes_.end()) {
    record.wish = wish->second;
  }
  return record;
}

std::vector<cluster::WorkerRecord> Core::ListWorkers() const {
  std::vector<cluster::WorkerRecord> records;
  for (const auto& [name, worker] : workers_) {
    records.push_back(RecordOf(name, worker));
  }
  return records;
}

cluster::DesiredWorker Core::DesiredOf(const std::string& name) const {
  cluster::DesiredWorker desired;
  desired.coordinator_term = term_;
  desired.lease = options_.lease;
  desired.heartbeat_interval = HeartbeatInterval();
  desired.storage_token = options_.storage_token;
  for (const std::string& uid : JobsOn(name)) {
    const cluster::JobRecord& job = *jobs_.at(uid);
    const AttemptRecord* attempt = job.LiveAttempt();
    DesiredAttempt wanted;
    for (size_t rank = 0; rank < attempt->workers.size(); ++rank) {
      if (attempt->workers[rank] == name) {
        wanted.ranks.push_back(static_cast<int32_t>(rank));
      }
    }
    wanted.job_uid = uid;
    wanted.job = job.FullName();
    wanted.epoch = attempt->epoch;
    wanted.number = attempt->number;
    wanted.phase = WantedPhase(*attempt);
    if (wanted.phase == AttemptPhase::kDrain) {
      wanted.drain_deadline = attempt->stop_deadline;
    }
    wanted.world_size = attempt->world_size();
    wanted.serves_store = wanted.ranks.front() == 0;
    wanted.store_address = attempt->store_address;
    wanted.spec = job.spec;
    wanted.resume_path = attempt->resume_path;
    wanted.source_path = attempt->source_path;
    desired.attempts.push_back(std::move(wanted));
  }
  if (const auto open = checks_at_.find(name); open != checks_at_.end()) {
    for (const std::string& id : open->second) {
      desired.data_checks.push_back(checks_.at(id).check);
    }
  }
  return desired;
}

// With many workers each speaks less often, but at least three times within its lease.
absl::Duration Core::HeartbeatInterval() const {
  const absl::Duration spread = options_.report_spacing * static_cast<int64_t>(workers_.size());
  return std::max(options_.heartbeat_interval, std::min(spread, options_.lease / 3));
}

// Sends what changed, and everything again as the answer to a report.
void Core::PushDesired(absl::Time now) {
  for (const std::string& name : std::exchange(stale_workers_, {})) {
    const auto found = workers_.find(name);
    if (found == workers_.end() || found->second.session == nullptr) {
      continue;
    }
    Worker& worker = found->second;
    cluster::DesiredWorker desired = DesiredOf(name);
    if (desired == worker.pushed && !worker.owes_answer) {
      continue;
    }
    worker.session->Push(desired, {.sequence = ++worker.push_sequence,
                                   .heard_sequence = worker.record.report.sequence,
                                   .now = now});
    worker.pushed = std::move(desired);
    worker.owes_answer = false;
  }
}

}  // namespace g2ll::coordinator
