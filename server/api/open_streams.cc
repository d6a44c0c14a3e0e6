#include "server/api/open_streams.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"

namespace g2ll::api {
namespace {

absl::Status TooMany(int64_t limit, const std::string& whose) {
  return net::WithReason(
      absl::ResourceExhaustedError(absl::StrCat(
          whose, " may have ", limit, " open streams: end some, or ask the operator for more")),
      "TOO_MANY_STREAMS", {{"limit", absl::StrCat(limit)}});
}

}  // namespace

std::string HostOfPeer(std::string_view peer) {
  const size_t scheme = peer.find(':');
  if (scheme == std::string_view::npos) {
    return std::string(peer);
  }
  const std::string_view address = peer.substr(scheme + 1);
  const bool has_port = peer.substr(0, scheme) == "ipv4" || peer.substr(0, scheme) == "ipv6";
  return std::string(has_port ? address.substr(0, address.rfind(':')) : address);
}

void OpenStreams::Count(const std::string& limit) const {
  if (metrics_ != nullptr) {
    metrics_->AddLimitHit(limit);
  }
}

absl::Status OpenStreams::Add(const std::shared_ptr<OpenStream>& stream, const std::string& client,
                              absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (!ended_.ok()) {
    return ended_;
  }
  if (of_clients_ >= limits_.total) {
    Count("streams_total");
    return TooMany(limits_.total, "all clients together");
  }
  int64_t& of_client = of_client_[client];
  if (of_client >= limits_.per_client) {
    Count("streams_per_client");
    return TooMany(limits_.per_client, absl::StrCat("the client ", client));
  }
  ++of_client;
  ++of_clients_;
  const double spread = 1.0 - static_cast<double>(added_++ % 11) / 100;
  streams_[stream.get()] = {stream, client, now + limits_.max_age * spread};
  return absl::OkStatus();
}

absl::Status OpenStreams::AddWorker(const std::shared_ptr<OpenStream>& stream) {
  absl::MutexLock lock(&mutex_);
  if (ended_.ok()) {
    streams_[stream.get()].stream = stream;
  }
  return ended_;
}

void OpenStreams::Remove(const std::shared_ptr<OpenStream>& stream) {
  absl::MutexLock lock(&mutex_);
  const auto entry = streams_.find(stream.get());
  if (entry == streams_.end()) {
    return;
  }
  const auto of_client = of_client_.find(entry->second.client);
  if (of_client != of_client_.end()) {
    --of_clients_;
    if (--of_client->second == 0) {
      of_client_.erase(of_client);
    }
  }
  streams_.erase(entry);
}

void OpenStreams::AddCall(const std::shared_ptr<OpenCall>& call, absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  calls_.emplace(call, deadline);
}

void OpenStreams::RemoveCall(const std::shared_ptr<OpenCall>& call) {
  absl::MutexLock lock(&mutex_);
  calls_.erase(call);
}

std::shared_ptr<void> OpenStreams::TakeQuerySlot(int64_t most) {
  if (queries_->fetch_add(1) >= most) {
    queries_->fetch_sub(1);
    Count("metric_queries");
    return nullptr;
  }
  return std::shared_ptr<void>(queries_.get(),
                               [queries = queries_](void*) { queries->fetch_sub(1); });
}

// Streams and calls are ended without the lock: they come back to remove themselves.
void OpenStreams::Sweep(absl::Time now) {
  std::vector<std::shared_ptr<OpenStream>> young;
  std::vector<std::shared_ptr<OpenStream>> old;
  std::vector<std::shared_ptr<OpenCall>> late;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [key, entry] : streams_) {
      if (now < entry.end_time) {
        young.push_back(entry.stream);
        continue;
      }
      old.push_back(entry.stream);
      // It is told once; from now on it is only watched.
      entry.end_time = absl::InfiniteFuture();
    }
    for (const auto& [call, deadline] : calls_) {
      if (now >= deadline) {
        late.push_back(call);
      }
    }
  }
  for (const auto& stream : old) {
    Count("stream_age");
    stream->End(net::WithReason(absl::UnavailableError(absl::StrCat(
                                    "a stream lasts ", absl::FormatDuration(limits_.max_age),
                                    " at most: go on with a new one")),
                                "STREAM_TOO_OLD"));
  }
  for (const auto& stream : young) {
    stream->OnTime(now, limits_);
  }
  for (const auto& call : late) {
    Count("call_deadline");
    call->Expire(net::WithReason(
        absl::DeadlineExceededError(
            absl::StrCat("the call took longer than ", absl::FormatDuration(limits_.call_deadline),
                         ", which is the limit without a deadline: try again, or set one")),
        "CALL_TIMEOUT"));
  }
}

void OpenStreams::EndAll(const absl::Status& status) {
  std::vector<std::shared_ptr<OpenStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    ended_ = status;
    for (const auto& [key, entry] : streams_) {
      streams.push_back(entry.stream);
    }
  }
  for (const auto& stream : streams) {
    stream->End(status);
  }
}

int64_t OpenStreams::count() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(streams_.size());
}

bool OpenStreams::WaitForAtMost(int64_t count, absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  const auto few = [this, count]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return static_cast<int64_t>(streams_.size()) <= count;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&few), timeout);
}

}  // namespace g2ll::api
