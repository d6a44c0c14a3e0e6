// Questions to workers about data sources.
#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/coordinator/core.h"

namespace g2ll::coordinator {

using cluster::JobEvent;
using cluster::JobRecord;
using cluster::WorkerState;

namespace {

// How long data that were fine count as fine for further jobs. Every attempt looks again
// before it starts.
constexpr absl::Duration kFineFor = absl::Seconds(30);

}  // namespace

// The ready worker with the fewest open questions; empty if none is ready.
std::string Core::ChooseCheckWorker() const {
  std::string chosen;
  size_t fewest = 0;
  for (const auto& [name, worker] : workers_) {
    // One that gets no work may still answer questions.
    if (worker.record.state != WorkerState::kReady || worker.session == nullptr) {
      continue;
    }
    const auto found = checks_at_.find(name);
    const size_t count = found == checks_at_.end() ? 0 : found->second.size();
    if (chosen.empty() || count < fewest) {
      chosen = name;
      fewest = count;
    }
  }
  return chosen;
}

bool Core::IsKnownFine(const JobRecord& job, absl::Time now) const {
  const auto fine = fine_until_.find(job.data_key);
  return job.data_key != 0 && fine != fine_until_.end() && now < fine->second;
}

bool Core::Ask(const JobRecord& job, CheckWaiter& waiter) {
  const uint64_t key = job.data_key;
  const auto open = check_of_data_.find(key);
  if (key != 0 && open != check_of_data_.end()) {
    checks_.at(open->second).waiters.push_back(std::move(waiter));
    return true;
  }
  const std::string worker = ChooseCheckWorker();
  if (worker.empty()) {
    return false;
  }
  const std::string id = absl::StrCat("t", term_, "-", next_number_++);
  Check check;
  check.check = {id, job.data_source, job.data_split, job.needs_masks, job.spec};
  check.key = key;
  // `job` may be the waiter's own.
  check.waiters.push_back(std::move(waiter));
  checks_.emplace(id, std::move(check));
  if (key != 0) {
    check_of_data_[key] = id;
  }
  SendCheckTo(id, worker);
  return true;
}

void Core::SendCheckTo(const std::string& id, const std::string& worker) {
  Check& check = checks_.at(id);
  if (!check.worker.empty()) {
    checks_at_[check.worker].erase(id);
    stale_workers_.insert(check.worker);
  }
  check.worker = worker;
  checks_at_[worker].insert(id);
  stale_workers_.insert(worker);
}

// Takes an open check out of the table.
Core::Check Core::TakeCheck(const std::string& id) {
  Check check = std::move(checks_.at(id));
  checks_.erase(id);
  const auto at_worker = checks_at_.find(check.worker);
  at_worker->second.erase(id);
  if (at_worker->second.empty()) {
    checks_at_.erase(at_worker);
  }
  check_of_data_.erase(check.key);
  stale_workers_.insert(check.worker);
  return check;
}

void Core::TakeCheckResult(const std::string& worker, const cluster::DataCheckResult& result,
                           absl::Time now) {
  const auto found = checks_.find(result.id);
  if (found == checks_.end() || found->second.worker != worker) {
    return;
  }
  Check check = TakeCheck(result.id);
  if (result.ok && check.key != 0) {
    fine_until_[check.key] = now + kFineFor;
  }
  for (CheckWaiter& waiter : check.waiters) {
    AnswerWaiter(std::move(waiter), &result, worker, now);
  }
}

// `result` is null if no worker has looked in time.
void Core::AnswerWaiter(CheckWaiter waiter, const cluster::DataCheckResult* result,
                        const std::string& worker, absl::Time now) {
  if (waiter.creation.has_value()) {
    FinishCreation(*std::move(waiter.creation), result, now);
    return;
  }
  const JobPtr job = Find(waiter.job_uid);
  if (result == nullptr || job == nullptr || job->state != cluster::JobState::kPending) {
    return;
  }
  JobRecord& record = Edit(waiter.job_uid);
  record.data_checked = result->ok;
  if (!result->ok) {
    // PENDING can always be given up.
    Move(record, JobEvent::kGiveUp, {"DATASET_NOT_FOUND", DataFault(*result)},
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
  std::erase_if(fine_until_, [&](const auto& entry) { return entry.second <= now; });
  std::vector<CheckWaiter> late;
  std::vector<std::string> unwanted;
  for (auto& [id, check] : checks_) {
    const auto is_late =
        std::stable_partition(check.waiters.begin(), check.waiters.end(),
                              [&](const CheckWaiter& waiter) { return waiter.deadline > now; });
    std::move(is_late, check.waiters.end(), std::back_inserter(late));
    check.waiters.erase(is_late, check.waiters.end());
    const auto worker = workers_.find(check.worker);
    const bool gone =
        worker == workers_.end() || worker->second.record.state != WorkerState::kReady;
    if (check.waiters.empty()) {
      unwanted.push_back(id);
    } else if (gone) {
      // Another worker is asked the same question, if there is one.
      if (const std::string next = ChooseCheckWorker(); !next.empty()) {
        SendCheckTo(id, next);
      }
    }
  }
  for (const std::string& id : unwanted) {
    TakeCheck(id);
  }
  for (CheckWaiter& waiter : late) {
    AnswerWaiter(std::move(waiter), nullptr, "", now);
  }
  AskForStoredJobs(now);
}

// Asks about waiting jobs whose data nobody has looked at yet.
void Core::AskForStoredJobs(absl::Time now) {
  std::set<std::string> asked;
  for (const auto& [id, check] : checks_) {
    for (const CheckWaiter& waiter : check.waiters) {
      asked.insert(waiter.job_uid);
    }
  }
  std::erase_if(unchecked_, [&](const std::string& uid) {
    const JobPtr job = Find(uid);
    return job == nullptr || job->data_checked || cluster::IsTerminal(job->state);
  });
  for (const std::string& uid : unchecked_) {
    const JobPtr job = Find(uid);
    if (job->state != cluster::JobState::kPending || asked.contains(uid)) {
      continue;
    }
    if (IsKnownFine(*job, now)) {
      Edit(uid).data_checked = true;
      must_schedule_ = true;
      continue;
    }
    CheckWaiter waiter{now + options_.check_timeout, std::nullopt, uid};
    if (!Ask(*job, waiter)) {
      return;
    }
  }
}

}  // namespace g2ll::coordinator
