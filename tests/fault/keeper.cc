#include "tests/fault/keeper.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/synchronization/notification.h"

namespace g2ll::fault {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(1);
// A coordinator that ends at every start is a fault of its own.
constexpr int kMostStartsInARow = 10;

}  // namespace

Keeper::Keeper(Options options) : options_(std::move(options)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { Keep(stop); });
  const auto listening = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return listening_; };
  absl::MutexLock lock(&mutex_, absl::Condition(&listening));
}

Keeper::~Keeper() {
  thread_.request_stop();
  thread_.join();
}

std::map<std::string, std::string> Keeper::NextEnvironment() {
  std::map<std::string, std::string> environment = options_.process.environment;
  environment["G2LL_FAILPOINTS"] = "";
  if (!options_.failpoints.empty()) {
    environment["G2LL_FAILPOINTS"] = options_.failpoints.front();
    options_.failpoints.pop_front();
  }
  return environment;
}

void Keeper::EnsureRunning() {
  absl::Status status;
  for (int i = 0; i < kMostStartsInARow; ++i) {
    if (process_ != nullptr && process_->running()) {
      return;
    }
    {
      absl::MutexLock lock(&mutex_);
      ++starts_;
    }
    if (process_ == nullptr) {
      sim::CoordinatorProcess::Options first = options_.process;
      first.environment = NextEnvironment();
      auto started = sim::CoordinatorProcess::Start(std::move(first));
      status = started.status();
      if (started.ok()) {
        process_ = *std::move(started);
      }
    } else {
      status = process_->Restart(NextEnvironment());
    }
  }
  std::fprintf(stderr, "the coordinator does not stay up: %s\n", status.ToString().c_str());
  std::abort();
}

void Keeper::Keep(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    bool stopped = false;
    {
      absl::MutexLock lock(&mutex_);
      stopped = stopped_;
    }
    if (!stopped) {
      EnsureRunning();
    }
    std::deque<std::function<void()>> actions;
    {
      const auto has_action = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return !actions_.empty();
      };
      absl::MutexLock lock(&mutex_);
      if (!listening_) {
        address_ = process_->address();
        listening_ = true;
      }
      mutex_.AwaitWithTimeout(absl::Condition(&has_action), kPoll);
      actions.swap(actions_);
    }
    for (const std::function<void()>& action : actions) {
      action();
    }
  }
  process_.reset();
}

void Keeper::With(const std::function<void(sim::CoordinatorProcess&)>& action) {
  absl::Notification done;
  {
    absl::MutexLock lock(&mutex_);
    actions_.emplace_back([&] {
      action(*process_);
      done.Notify();
    });
  }
  done.WaitForNotification();
}

void Keeper::Kill() {
  With([](sim::CoordinatorProcess& process) { process.Kill(); });
}

absl::StatusOr<int> Keeper::Stop(absl::Duration limit) {
  constexpr int kKilled = 128 + 9;
  absl::StatusOr<int> code = 0;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  With([&](sim::CoordinatorProcess& process) {
    code = process.Stop(limit);
    while (code.ok() && *code == kKilled) {
      {
        absl::MutexLock lock(&mutex_);
        ++starts_;
      }
      process.Restart(NextEnvironment()).IgnoreError();
      code = process.Stop(limit);
    }
  });
  return code;
}

int Keeper::restarts() const {
  absl::MutexLock lock(&mutex_);
  return starts_ - 1;
}

}  // namespace g2ll::fault
