#ifndef WORKER_RUN_CHANNEL_EVENTS_H_
#define WORKER_RUN_CHANNEL_EVENTS_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "g2ll/trainer/v1/trainer.pb.h"
#include "worker/run/frame_channel.h"
#include "worker/run/run_events.h"

namespace g2ll::run {

// Reads the first message of a trainer's channel. Errors: those of
// FrameChannel::Read; InvalidArgument if it is anything but an Assignment.
absl::StatusOr<trainer::v1::Assignment> ReadAssignment(FrameChannel& channel);

// The trainer's side of the channel to its agent, after ReadAssignment.
// Reports are queued and written by a thread of its own, in order; only a queue
// of kMaxQueuedFrames makes the caller wait. Another thread reads: a Stop, or the
// end of the channel (the agent is gone), becomes a stop request. When the channel
// is broken, reports are dropped: nobody is left to hear them.
class ChannelEvents : public RunEvents {
 public:
  static constexpr size_t kMaxQueuedFrames = 8192;

  // `channel` outlives this object. `stop` is asked to stop when the agent wants so.
  ChannelEvents(FrameChannel& channel, std::stop_source stop);
  // Waits until everything queued is written or the channel is broken.
  ~ChannelEvents() override;
  ChannelEvents(const ChannelEvents&) = delete;
  ChannelEvents& operator=(const ChannelEvents&) = delete;

  void OnJoined() override;
  void OnMetric(const MetricSample& sample) override;
  void OnProgress(const Progress& progress) override;
  // Waits for the agent's verdict. Errors: Aborted (fenced, or the agent is gone),
  // Unavailable (a stop was asked for meanwhile), FailedPrecondition (it does not
  // count; the message says why).
  absl::Status OnCheckpoint(const WrittenCheckpoint& checkpoint) override;
  void OnReport(const std::string& path) override;

  // Last report of a run that ends by a fault. `message`: one line, what broke and
  // what to do.
  void OnFailed(g2ll::v1::Failure::Class failure_class, const std::string& message);

  // Reports that the rendezvous store serves on `port` (store mode only).
  void OnStoreServing(int port);

 private:
  void Enqueue(const trainer::v1::FromTrainer& message) ABSL_LOCKS_EXCLUDED(mutex_);
  void WriteLoop();
  void ReadLoop();
  void Handle(const trainer::v1::ToTrainer& message) ABSL_LOCKS_EXCLUDED(mutex_);
  void MarkBroken() ABSL_LOCKS_EXCLUDED(mutex_);

  FrameChannel& channel_;
  std::stop_source stop_;
  absl::Mutex mutex_;
  std::deque<std::string> queue_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;  // no more reports will come
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;   // the agent cannot be reached
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<trainer::v1::CheckpointVerdict> verdict_ ABSL_GUARDED_BY(mutex_);
  std::jthread writer_;
  std::jthread reader_;
};

}  // namespace g2ll::run

#endif  // WORKER_RUN_CHANNEL_EVENTS_H_
