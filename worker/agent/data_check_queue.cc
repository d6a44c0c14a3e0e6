#include "worker/agent/data_check_queue.h"

#include <utility>

namespace g2ll::agent {

DataCheckQueue::DataCheckQueue(DataChecker& checker, std::function<void()> on_result)
    : checker_(checker),
      on_result_(std::move(on_result)),
      thread_([this](std::stop_token stop) { Loop(stop); }) {}

DataCheckQueue::~DataCheckQueue() {
  thread_.request_stop();
  thread_.join();
}

void DataCheckQueue::SetWanted(const google::protobuf::RepeatedPtrField<v1::DataCheck>& wanted) {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, Entry> kept;
  for (const v1::DataCheck& check : wanted) {
    const auto found = entries_.find(check.id());
    kept.emplace(check.id(), found == entries_.end() ? Entry{check, std::nullopt} : found->second);
  }
  entries_ = std::move(kept);
}

std::vector<v1::DataCheckResult> DataCheckQueue::Results() const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::DataCheckResult> results;
  for (const auto& [id, entry] : entries_) {
    if (entry.result) results.push_back(*entry.result);
  }
  return results;
}

const DataCheckQueue::Entry* DataCheckQueue::FirstOpen() const {
  for (const auto& [id, entry] : entries_) {
    if (!entry.result) return &entry;
  }
  return nullptr;
}

std::optional<v1::DataCheck> DataCheckQueue::Next(std::stop_token stop) {
  const std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mutex_); });
  absl::MutexLock lock(&mutex_);
  const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stop.stop_requested() || FirstOpen() != nullptr;
  };
  mutex_.Await(absl::Condition(&ready));
  if (stop.stop_requested()) return std::nullopt;
  return FirstOpen()->check;
}

void DataCheckQueue::Loop(std::stop_token stop) {
  while (const auto check = Next(stop)) {
    const auto checked = checker_.Check(*check, stop);
    v1::DataCheckResult result;
    if (checked.ok()) {
      result = *checked;
    } else {
      result.set_message(std::string(checked.status().message()));
    }
    result.set_id(check->id());
    {
      absl::MutexLock lock(&mutex_);
      const auto found = entries_.find(check->id());
      if (found != entries_.end()) found->second.result = result;
    }
    if (!stop.stop_requested()) on_result_();
  }
}

}  // namespace g2ll::agent
