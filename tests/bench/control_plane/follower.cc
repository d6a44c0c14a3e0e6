#include "tests/bench/control_plane/follower.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace g2ll::bench {
namespace {

constexpr absl::Duration kSlowPause = absl::Seconds(1);

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

}  // namespace

// Reads on gRPC's threads; a slow one asks for its next message on the loop.
class Followers::Stream final : public grpc::ClientReadReactor<v1::StreamMetricsResponse> {
 public:
  Stream(Followers* owner, Pace pace) : owner_(owner), pace_(pace) {}

  void Start(v1::TelemetryService::Stub& stub) {
    request_.set_job(owner_->job_);
    request_.set_follow(true);
    stub.async()->StreamMetrics(&context_, &request_, this);
    if (pace_ != Pace::kFast) {
      AddHold();
    }
    StartRead(&response_);
    StartCall();
  }
  // Ends the stream.
  void Cancel() {
    context_.TryCancel();
    if (pace_ != Pace::kFast) {
      owner_->loop_.Run([this] {
        cancelled_ = true;
        Release();
      });
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      if (pace_ != Pace::kFast) {
        owner_->loop_.Post([this] { Release(); });
      }
      return;
    }
    owner_->Took(*this, response_);
    if (pace_ == Pace::kFast) {
      StartRead(&response_);
    } else if (pace_ == Pace::kSlow) {
      owner_->loop_.PostAt(absl::Now() + kSlowPause, [this] {
        if (held_ && !cancelled_) {
          StartRead(&response_);
        }
      });
    }
  }
  void OnDone(const grpc::Status&) override { owner_->Done(*this); }

  Pace pace() const { return pace_; }
  // Of the last point; under the owner's lock.
  int64_t last_seq = 0;

 private:
  void Release() {
    if (std::exchange(held_, false)) {
      RemoveHold();
    }
  }

  Followers* const owner_;
  const Pace pace_;
  grpc::ClientContext context_;
  v1::StreamMetricsRequest request_;
  v1::StreamMetricsResponse response_;
  // Of the loop's thread.
  bool held_ = true;
  bool cancelled_ = false;
};

Followers::Followers(std::string address, std::string job, int per_connection)
    : address_(std::move(address)), job_(std::move(job)), per_connection_(per_connection) {}

Followers::~Followers() {
  for (const auto& stream : streams_) {
    stream->Cancel();
  }
  const auto none = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return open_ == 0; };
  absl::MutexLock lock(&mutex_, absl::Condition(&none));
}

void Followers::Add(int count, Pace pace) {
  for (int i = 0; i < count; ++i) {
    if (stub_ == nullptr || on_stub_ == per_connection_) {
      if (stub_ != nullptr) {
        full_stubs_.push_back(std::move(stub_));
      }
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
      stub_ = v1::TelemetryService::NewStub(
          grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments));
      on_stub_ = 0;
    }
    ++on_stub_;
    {
      absl::MutexLock lock(&mutex_);
      ++open_;
    }
    streams_.push_back(std::make_unique<Stream>(this, pace));
    streams_.back()->Start(*stub_);
  }
}

void Followers::Took(Stream& stream, const v1::StreamMetricsResponse& response) {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  for (const v1::MetricPoint& point : response.batch().points()) {
    gaps_ += point.seq() == stream.last_seq + 1 ? 0 : 1;
    stream.last_seq = point.seq();
    ++received_;
    if (stream.pace() == Pace::kFast) {
      lags_.push_back(now - FromProto(point.time()));
    }
  }
}

void Followers::Done(const Stream& stream) {
  absl::MutexLock lock(&mutex_);
  --open_;
  ended_ += stream.pace() == Pace::kFast ? 1 : 0;
}

bool Followers::WaitForSeq(int64_t seq, absl::Duration limit) {
  const auto all_have_it = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::all_of(streams_.begin(), streams_.end(), [&](const auto& stream) {
      return stream->pace() != Pace::kFast || stream->last_seq >= seq;
    });
  };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&all_have_it), limit);
}

std::vector<absl::Duration> Followers::TakeLags() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(lags_, {});
}

int64_t Followers::gaps() const {
  absl::MutexLock lock(&mutex_);
  return gaps_;
}

int64_t Followers::received() const {
  absl::MutexLock lock(&mutex_);
  return received_;
}

int64_t Followers::ended() const {
  absl::MutexLock lock(&mutex_);
  return ended_;
}

}  // namespace g2ll::bench
