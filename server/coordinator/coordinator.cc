#include "server/coordinator/coordinator.h"

#include <algorithm>

#include "proto/common/grpc_status.h"

namespace g2ll::coordinator {

Coordinator::Coordinator(Core* core, Options options)
    : core_(core), options_(std::move(options)), thread_([this] { Run(); }) {}

Coordinator::~Coordinator() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    changed_.NotifyAll();
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
  if (queue_.size() == 1) {
    changed_.NotifyAll();  // Else the thread is on its way already.
  }
  return true;
}

void Coordinator::Run() {
  steady::Deadline next_tick(options_.tick);
  while (true) {
    std::deque<Command> commands;
    bool stopped = false;
    {
      const absl::Duration wait =
          std::min(next_tick.left(), core_->schedule_time() - core_->cycle_time());
      absl::MutexLock lock(&mutex_);
      changed_.AwaitFor(
          mutex_, std::max(wait, absl::ZeroDuration()),
          [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || !queue_.empty(); });
      commands.swap(queue_);
      stopped = stopped_;
    }
    // Before the commands, because some of them say when somebody was heard.
    if (const absl::Duration late = -next_tick.left(); late > options_.tick) {
      core_->NoteSleep(late);
    }
    core_->NoteQueueDepth(commands.size());
    const absl::Time now = options_.clock();
    for (const Command& command : commands) {
      command(*core_, now);
    }
    if (next_tick.passed()) {
      core_->Tick(now);
      next_tick = steady::Deadline(options_.tick);
    }
    const absl::Status usable = core_->Flush(now);
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
