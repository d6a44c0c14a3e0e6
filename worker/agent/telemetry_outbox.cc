#include "worker/agent/telemetry_outbox.h"

namespace g2ll::agent {

void TelemetryOutbox::Open(const AttemptKey& attempt) {
  absl::MutexLock lock(&mutex_);
  attempts_.try_emplace(attempt);
}

void TelemetryOutbox::Forget(const AttemptKey& attempt) {
  absl::MutexLock lock(&mutex_);
  attempts_.erase(attempt);
}

void TelemetryOutbox::Push(Stream& stream, v1::TelemetryItem item) {
  item.set_local_seq(++stream.last_seq);
  stream.bytes += item.ByteSizeLong();
  stream.items.push_back(std::move(item));
}

bool TelemetryOutbox::Append(const AttemptKey& attempt, int rank, v1::TelemetryItem item) {
  absl::MutexLock lock(&mutex_);
  const auto has_room = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = attempts_.find(attempt);
    if (found == attempts_.end()) return true;
    return found->second[rank].bytes < options_.max_pending_bytes;
  };
  mutex_.Await(absl::Condition(&has_room));
  const auto found = attempts_.find(attempt);
  if (found == attempts_.end()) return false;
  Push(found->second[rank], std::move(item));
  return true;
}

void TelemetryOutbox::AppendNow(const AttemptKey& attempt, int rank, v1::TelemetryItem item) {
  absl::MutexLock lock(&mutex_);
  const auto found = attempts_.find(attempt);
  if (found != attempts_.end()) Push(found->second[rank], std::move(item));
}

bool TelemetryOutbox::HasUnsent() const {
  for (const auto& [attempt, streams] : attempts_) {
    for (const auto& [rank, stream] : streams) {
      if (stream.sent < stream.items.size()) return true;
    }
  }
  return false;
}

v1::PushTelemetryRequest TelemetryOutbox::FillBatch(const AttemptKey& attempt, int rank,
                                                    Stream& stream) const {
  v1::PushTelemetryRequest batch;
  batch.set_job_uid(attempt.job_uid);
  batch.set_epoch(attempt.epoch);
  batch.set_rank(rank);
  size_t bytes = 0;
  while (stream.sent < stream.items.size() && batch.items_size() < options_.max_batch_items &&
         bytes < options_.max_batch_bytes) {
    const v1::TelemetryItem& item = stream.items[stream.sent++];
    bytes += item.ByteSizeLong();
    *batch.add_items() = item;
  }
  return batch;
}

std::optional<v1::PushTelemetryRequest> TelemetryOutbox::TakeBatch(std::stop_token stop) {
  // Taking the lock makes the waiting thread look at its condition again.
  const std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mutex_); });
  absl::MutexLock lock(&mutex_);
  const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stop.stop_requested() || HasUnsent();
  };
  mutex_.Await(absl::Condition(&ready));
  if (stop.stop_requested()) return std::nullopt;

  // First stream with something to send after the one served last, in a circle.
  std::optional<std::pair<AttemptKey, int>> first;
  std::optional<std::pair<AttemptKey, int>> next;
  for (const auto& [attempt, streams] : attempts_) {
    for (const auto& [rank, stream] : streams) {
      if (stream.sent == stream.items.size()) continue;
      const std::pair<AttemptKey, int> key(attempt, rank);
      if (!first) first = key;
      if (!next && key > last_served_) next = key;
    }
  }
  last_served_ = next ? *next : *first;
  const auto& [attempt, rank] = last_served_;
  return FillBatch(attempt, rank, attempts_[attempt][rank]);
}

void TelemetryOutbox::Rewind() {
  absl::MutexLock lock(&mutex_);
  for (auto& [attempt, streams] : attempts_) {
    for (auto& [rank, stream] : streams) stream.sent = 0;
  }
}

void TelemetryOutbox::OnAck(const v1::TelemetryAck& ack) {
  absl::MutexLock lock(&mutex_);
  const auto attempt = attempts_.find(AttemptKey{ack.job_uid(), ack.epoch()});
  if (attempt == attempts_.end()) return;
  const auto found = attempt->second.find(ack.rank());
  if (found == attempt->second.end()) return;
  Stream& stream = found->second;
  while (!stream.items.empty() && stream.items.front().local_seq() <= ack.local_seq()) {
    stream.bytes -= stream.items.front().ByteSizeLong();
    stream.items.pop_front();
    if (stream.sent > 0) --stream.sent;
    ++acked_items_;
  }
}

TelemetryMarks TelemetryOutbox::Marks(const AttemptKey& attempt) const {
  absl::MutexLock lock(&mutex_);
  TelemetryMarks marks;
  const auto found = attempts_.find(attempt);
  if (found == attempts_.end()) return marks;
  for (const auto& [rank, stream] : found->second) marks[rank] = stream.last_seq;
  return marks;
}

bool TelemetryOutbox::IsAcked(const AttemptKey& attempt, const TelemetryMarks& marks) const {
  const Streams& streams = attempts_.at(attempt);
  for (const auto& [rank, seq] : marks) {
    const auto found = streams.find(rank);
    if (found == streams.end() || found->second.items.empty()) continue;
    if (found->second.items.front().local_seq() <= seq) return false;
  }
  return true;
}

absl::Status TelemetryOutbox::WaitAcked(const AttemptKey& attempt, const TelemetryMarks& marks,
                                        std::stop_token stop) {
  const std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mutex_); });
  absl::MutexLock lock(&mutex_);
  const auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stop.stop_requested() || !attempts_.contains(attempt) || IsAcked(attempt, marks);
  };
  mutex_.Await(absl::Condition(&done));
  if (!attempts_.contains(attempt)) return absl::NotFoundError("the attempt is forgotten");
  if (IsAcked(attempt, marks)) return absl::OkStatus();
  return absl::CancelledError("stopped before everything was acknowledged");
}

TelemetryOutbox::Stats TelemetryOutbox::stats() const {
  absl::MutexLock lock(&mutex_);
  Stats stats{.acked_items = acked_items_, .pending_items = 0};
  for (const auto& [attempt, streams] : attempts_) {
    for (const auto& [rank, stream] : streams) {
      stats.pending_items += static_cast<int64_t>(stream.items.size());
    }
  }
  return stats;
}

}  // namespace g2ll::agent
