#include "server/coordinator/coordinator.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "proto/common/grpc_status.h"

namespace g2ll::coordinator {

Coordinator::Coordinator(Core* core, Options options)
    : core_(core), options_(std::move(options)), thread_([this] { Run(); }) {}

Coordinator::~Coordinator() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

absl::Status Coordinator::Overloaded() {
  return net::WithReason(
      absl::UnavailableError("the coordinator is stopping or has too much to do: try again"),
      "OVERLOADED");
}

bool Coordinator::Post(Command command) {
  absl::MutexLock lock(&mutex_);
  if (stopped_ || queue_.size() >= options_.queue_capacity) {
    return false;
  }
  queue_.push_back(std::move(command));
  return true;
}

void Coordinator::Run() {
  // Waiting uses the real clock; what the core sees is the clock of the options.
  absl::Time next_tick = absl::Now() + options_.tick;
  absl::Time wake = absl::InfiniteFuture();
  while (true) {
    std::deque<Command> commands;
    bool stopped = false;
    {
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopped_ || !queue_.empty();
      };
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithDeadline(absl::Condition(&has_work), std::min(next_tick, wake));
      commands.swap(queue_);
      stopped = stopped_;
    }
    // Before the commands, because some of them say when somebody was heard.
    if (const absl::Duration late = absl::Now() - next_tick; late > options_.tick) {
      core_->NoteSleep(late);
    }
    const absl::Time now = options_.clock();
    for (const Command& command : commands) {
      command(*core_, now);
    }
    if (absl::Now() >= next_tick) {
      core_->Tick(now);
      next_tick = absl::Now() + options_.tick;
    }
    const absl::Status usable = core_->Flush(now);
    // The core's time may run differently: what counts is how far off it is.
    wake = absl::Now() + (core_->wake_time() - now);
    if (!usable.ok()) {
      options_.on_broken(usable);
      return;
    }
    if (stopped) {
      return;
    }
  }
}

}  // namespace g2ll::coordinator
