#include "worker/run/channel_events.h"

#include <cmath>
#include <utility>

#include "proto/common/status_macros.h"

namespace g2ll::run {
namespace {

using trainer::v1::FromTrainer;
using trainer::v1::ToTrainer;

google::protobuf::Duration ToDuration(double seconds) {
  // Nobody waits for longer than this; the bound keeps the conversion defined.
  constexpr double kLongest = 1e9;
  const double bounded = std::fmin(seconds, kLongest);
  google::protobuf::Duration duration;
  duration.set_seconds(static_cast<int64_t>(bounded));
  duration.set_nanos(static_cast<int32_t>((bounded - std::floor(bounded)) * 1e9));
  return duration;
}

}  // namespace

absl::StatusOr<trainer::v1::Assignment> ReadAssignment(FrameChannel& channel) {
  G2LL_ASSIGN_OR_RETURN(const std::string frame, channel.Read());
  ToTrainer message;
  if (!message.ParseFromString(frame) || !message.has_assignment()) {
    return absl::InvalidArgumentError("the first message of the channel is no assignment");
  }
  return std::move(*message.mutable_assignment());
}

ChannelEvents::ChannelEvents(FrameChannel& channel, std::stop_source stop)
    : channel_(channel),
      stop_(std::move(stop)),
      writer_([this] { WriteLoop(); }),
      reader_([this] { ReadLoop(); }) {}

ChannelEvents::~ChannelEvents() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  writer_.join();
  channel_.ShutdownRead();
  reader_.join();
}

void ChannelEvents::OnJoined() {
  FromTrainer message;
  message.mutable_joined();
  Enqueue(message);
}

void ChannelEvents::OnMetric(const MetricSample& sample) {
  FromTrainer message;
  auto* metric = message.mutable_metric();
  metric->set_name(sample.name);
  metric->set_value(sample.value);
  metric->set_step(sample.step);
  metric->set_epoch(sample.epoch);
  Enqueue(message);
}

void ChannelEvents::OnProgress(const Progress& progress) {
  FromTrainer message;
  auto* out = message.mutable_progress();
  out->set_step(progress.step);
  out->set_total_steps(progress.total_steps);
  out->set_epoch(progress.epoch);
  out->set_images_per_second(progress.images_per_second);
  if (progress.eta_seconds >= 0) *out->mutable_eta() = ToDuration(progress.eta_seconds);
  Enqueue(message);
}

absl::Status ChannelEvents::OnCheckpoint(const WrittenCheckpoint& checkpoint) {
  FromTrainer message;
  auto* out = message.mutable_checkpoint();
  out->set_step(checkpoint.step);
  out->set_path(checkpoint.path);
  out->set_manifest_sha256(checkpoint.manifest_sha256);
  out->set_size_bytes(checkpoint.size_bytes);
  out->mutable_metrics()->insert(checkpoint.metrics.begin(), checkpoint.metrics.end());
  out->set_best(checkpoint.best);
  {
    absl::MutexLock lock(&mutex_);
    verdict_.reset();
  }
  Enqueue(message);

  absl::MutexLock lock(&mutex_);
  const auto decided = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return broken_ || stopping_ || (verdict_ && verdict_->step() == checkpoint.step);
  };
  mutex_.Await(absl::Condition(&decided));
  if (verdict_ && verdict_->step() == checkpoint.step) {
    if (verdict_->committed()) return absl::OkStatus();
    if (verdict_->fenced()) return absl::AbortedError(verdict_->message());
    return absl::FailedPreconditionError(verdict_->message());
  }
  if (broken_) return absl::AbortedError("the worker agent is gone");
  return absl::UnavailableError("stopped before the checkpoint was committed");
}

void ChannelEvents::OnReport(const std::string& path) {
  FromTrainer message;
  message.mutable_report()->set_path(path);
  Enqueue(message);
}

void ChannelEvents::OnFailed(g2ll::v1::Failure::Class failure_class, const std::string& text) {
  FromTrainer message;
  message.mutable_failed()->set_class_(failure_class);
  message.mutable_failed()->set_message(text);
  Enqueue(message);
}

void ChannelEvents::OnStoreServing(int port) {
  FromTrainer message;
  message.mutable_store()->set_port(port);
  Enqueue(message);
}

void ChannelEvents::Enqueue(const FromTrainer& message) {
  std::string frame = message.SerializeAsString();
  absl::MutexLock lock(&mutex_);
  const auto has_room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return broken_ || queue_.size() < kMaxQueuedFrames;
  };
  mutex_.Await(absl::Condition(&has_room));
  if (!broken_) queue_.push_back(std::move(frame));
}

void ChannelEvents::WriteLoop() {
  while (true) {
    std::string frame;
    {
      absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return broken_ || closing_ || !queue_.empty();
      };
      mutex_.Await(absl::Condition(&has_work));
      if (broken_ || queue_.empty()) return;
      frame = std::move(queue_.front());
      queue_.pop_front();
    }
    if (!channel_.Write(frame).ok()) {
      MarkBroken();
      return;
    }
  }
}

void ChannelEvents::ReadLoop() {
  while (true) {
    const absl::StatusOr<std::string> frame = channel_.Read();
    if (!frame.ok()) {
      bool closing = false;
      {
        absl::MutexLock lock(&mutex_);
        closing = closing_;
      }
      if (!closing) MarkBroken();
      return;
    }
    ToTrainer message;
    if (message.ParseFromString(*frame)) Handle(message);
  }
}

void ChannelEvents::Handle(const ToTrainer& message) {
  if (message.has_checkpoint()) {
    absl::MutexLock lock(&mutex_);
    verdict_ = message.checkpoint();
  } else if (message.has_stop()) {
    // First, so that whoever wakes finds the stop requested.
    stop_.request_stop();
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
}

void ChannelEvents::MarkBroken() {
  stop_.request_stop();
  absl::MutexLock lock(&mutex_);
  broken_ = true;
  queue_.clear();
}

}  // namespace g2ll::run
