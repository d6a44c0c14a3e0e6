// Questions to workers about data sources.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {

using cluster::JobEvent;
using cluster::JobRecord;
using cluster::WorkerState;

// The ready worker with the fewest open questions; empty if none is ready.
std::string Core::ChooseCheckWorker() const {
  std::map<std::string, int64_t> open;
  for (const auto& [id, check] : checks_) {
    ++open[check.worker];
  }
  std::string chosen;
  int64_t fewest = 0;
  for (const auto& [name, worker] : workers_) {
    // One that gets no work may still answer questions.
    if (worker.record.state != WorkerState::kReady || worker.session == nullptr) {
      continue;
    }
    const auto found = open.find(name);
    const int64_t count = found == open.end() ? 0 : found->second;
    if (chosen.empty() || count < fewest) {
      chosen = name;
      fewest = count;
    }
  }
  return chosen;
}

std::string Core::StartCheck(const JobRecord& job, const std::string& worker, absl::Time deadline) {
  const std::string id = absl::StrCat("t", term_, "-", next_number_++);
  Check check;
  check.check = {id, job.data_source, job.data_split, job.needs_masks, job.spec};
  check.worker = worker;
  check.deadline = deadline;
  checks_.emplace(id, std::move(check));
  stale_workers_.insert(worker);
  return id;
}

void Core::TakeCheckResult(const std::string& worker, const cluster::DataCheckResult& result,
                           absl::Time now) {
  const auto found = checks_.find(result.id);
  if (found == checks_.end() || found->second.worker != worker) {
    return;
  }
  Check check = std::move(found->second);
  checks_.erase(found);
  stale_workers_.insert(worker);
  if (check.creation.has_value()) {
    FinishCreation(*std::move(check.creation), &result, now);
    return;
  }
  const JobPtr job = Find(check.job_uid);
  if (job == nullptr || job->state != cluster::JobState::kPending) {
    return;
  }
  JobRecord& record = Edit(check.job_uid);
  record.data_checked = result.ok;
  if (!result.ok) {
    // PENDING can always be given up.
    Move(record, JobEvent::kGiveUp, {"DATASET_NOT_FOUND", DataFault(result)},
         absl::StrCat("worker/", worker), now)
        .IgnoreError();
  }
  must_schedule_ = true;
}

std::string Core::DataFault(const cluster::DataCheckResult& result) {
  // A message begins with its key (`data.fraction 0.1 leaves none of ...`), unless the
  // fault lies in the source.
  const std::string& message = result.message;
  if (!message.starts_with("data.")) return absl::StrCat("spec.data.source: ", message);
  const size_t end = std::min(message.find_first_of(" :"), message.size());
  const size_t text = std::min(message.find_first_not_of(" :", end), message.size());
  return absl::StrCat("spec.", message.substr(0, end), ": ", message.substr(text));
}

void Core::TickChecks(absl::Time now) {
  std::vector<std::string> late;
  for (auto& [id, check] : checks_) {
    const auto worker = workers_.find(check.worker);
    const bool gone =
        worker == workers_.end() || worker->second.record.state != WorkerState::kReady;
    if (gone && check.deadline > now) {
      // Another worker is asked the same question, if there is one.
      if (const std::string next = ChooseCheckWorker(); !next.empty()) {
        check.worker = next;
        stale_workers_.insert(next);
      }
    }
    if (check.deadline <= now) {
      late.push_back(id);
    }
  }
  for (const std::string& id : late) {
    Check check = std::move(checks_.at(id));
    checks_.erase(id);
    stale_workers_.insert(check.worker);
    if (check.creation.has_value()) {
      FinishCreation(*std::move(check.creation), nullptr, now);
    }
  }
  std::set<std::string> asked;
  for (const auto& [id, check] : checks_) {
    asked.insert(check.job_uid);
  }
  for (const std::string& uid : unfinished_) {
    const JobPtr job = Find(uid);
    if (job->state != cluster::JobState::kPending || job->data_checked || asked.contains(uid)) {
      continue;
    }
    const std::string worker = ChooseCheckWorker();
    if (worker.empty()) {
      return;
    }
    const std::string id = StartCheck(*job, worker, now + options_.check_timeout);
    checks_.at(id).job_uid = uid;
  }
}

}  // namespace g2ll::coordinator
