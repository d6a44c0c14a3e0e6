#include "server/api/session_stream.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "proto/common/failpoint.h"
#include "proto/common/grpc_status.h"
#include "server/telemetry/rate_limit.h"
#include "server/wire/worker_wire.h"

namespace g2ll::api {
namespace {

using coordinator::Core;

// The sending half of a bidirectional stream: at most one message on its way and
// one that waits, which a newer one replaces. gRPC is never called with the lock held.
// Thread safe.
template <typename Request, typename Response>
class LatestWriter {
 public:
  using Reactor = grpc::ServerBidiReactor<Request, Response>;

  void Attach(Reactor* reactor) {
    absl::MutexLock lock(&mutex_);
    reactor_ = reactor;
  }
  void Detach() {
    absl::MutexLock lock(&mutex_);
    reactor_ = nullptr;
  }
  void Send(Response response) {
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { next_ = std::move(response); });
  }
  void End(const absl::Status& status) {
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      if (!end_.has_value()) {
        end_ = net::ToGrpcStatus(status);
      }
    });
  }
  void Written() {
    Change([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { writing_ = false; });
  }

 private:
  // Makes a change and does what follows from it. The reactor lives until it has been
  // told to finish and nothing is being written, and each is said by one thread.
  template <typename Function>
  void Change(const Function& change) ABSL_LOCKS_EXCLUDED(mutex_) {
    Reactor* reactor = nullptr;
    std::optional<grpc::Status> finish;
    {
      absl::MutexLock lock(&mutex_);
      change();
      if (reactor_ == nullptr || writing_ || finished_) {
        return;
      }
      if (end_.has_value()) {
        finished_ = true;
        finish = end_;
      } else if (next_.has_value()) {
        writing_ = true;
        in_flight_ = *std::move(next_);
        next_.reset();
      } else {
        return;
      }
      reactor = reactor_;
    }
    if (finish.has_value()) {
      reactor->Finish(*finish);
    } else {
      reactor->StartWrite(&in_flight_);
    }
  }

  absl::Mutex mutex_;
  Reactor* reactor_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::optional<Response> next_ ABSL_GUARDED_BY(mutex_);
  Response in_flight_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
};

// What the coordinator holds of a session; outlives the stream if need be.
class SessionLink final : public coordinator::WorkerSession, public OpenStream {
 public:
  LatestWriter<v1::SessionRequest, v1::DesiredState>& writer() { return writer_; }

  void Push(const cluster::DesiredWorker& desired, const cluster::PushStamp& stamp) override {
    G2LL_FAILPOINT("api.session.push");
    writer_.Send(wire::ToProto(desired, stamp));
  }
  void Close(absl::Status status) override { writer_.End(status); }
  void End(const absl::Status& status) override { writer_.End(status); }

  // Keeps a report until the coordinator takes it; a newer one replaces it, so that a
  // worker that reports too often costs one report. True if the coordinator has to be
  // asked to take it.
  bool Offer(cluster::WorkerReport report) {
    absl::MutexLock lock(&mutex_);
    const bool is_first = !offered_.has_value();
    if (!is_first) {
      KeepResults(*offered_, &report);
    }
    offered_ = std::move(report);
    return is_first;
  }
  std::optional<cluster::WorkerReport> Take() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(offered_, std::nullopt);
  }

  // Of the coordinator's thread alone.
  std::string worker;
  int64_t session_id = 0;

 private:
  // A result of a data check may be said only once.
  static void KeepResults(const cluster::WorkerReport& older, cluster::WorkerReport* newer) {
    for (const cluster::DataCheckResult& result : older.data_checks) {
      const bool is_there =
          std::any_of(newer->data_checks.begin(), newer->data_checks.end(),
                      [&](const cluster::DataCheckResult& other) { return other.id == result.id; });
      if (!is_there) {
        newer->data_checks.push_back(result);
      }
    }
  }

  absl::Mutex mutex_;
  std::optional<cluster::WorkerReport> offered_ ABSL_GUARDED_BY(mutex_);
  LatestWriter<v1::SessionRequest, v1::DesiredState> writer_;
};

class SessionReactor final : public grpc::ServerBidiReactor<v1::SessionRequest, v1::DesiredState> {
 public:
  explicit SessionReactor(const ServiceContext& context)
      : context_(context), link_(std::make_shared<SessionLink>()) {
    link_->writer().Attach(this);
    StartRead(&state_);
    if (const absl::Status added = context_.streams->AddWorker(link_); !added.ok()) {
      link_->End(added);
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      link_->End(absl::OkStatus());
      return;
    }
    G2LL_FAILPOINT("api.session.received");
    if (link_->Offer(wire::FromProto(state_))) {
      const bool queued = context_.coordinator->Post([link = link_](Core& core, absl::Time now) {
        if (const std::optional<cluster::WorkerReport> report = link->Take(); report.has_value()) {
          Report(link, core, *report, now);
        }
      });
      if (!queued) {
        link_->Take();  // Left out: a newer one follows soon.
      }
    }
    StartRead(&state_);
  }
  void OnWriteDone(bool) override { link_->writer().Written(); }
  void OnCancel() override { link_->End(absl::CancelledError("the worker went away")); }
  void OnDone() override {
    link_->writer().Detach();
    context_.streams->Remove(link_);
    context_.coordinator->Post([link = link_](Core& core, absl::Time now) {
      core.CloseSession(link->worker, link->session_id, now);
    });
    delete this;
  }

 private:
  static void Report(const std::shared_ptr<SessionLink>& link, Core& core,
                     const cluster::WorkerReport& report, absl::Time now) {
    if (link->session_id != 0) {
      cluster::WorkerReport next = report;
      next.worker = link->worker;
      core.ReportWorker(std::move(next), link->session_id, now);
      return;
    }
    link->worker = report.worker;
    const absl::StatusOr<int64_t> session_id = core.OpenSession(report, link, now);
    if (session_id.ok()) {
      link->session_id = *session_id;
    } else {
      link->session_id = -1;
      link->End(session_id.status());
    }
  }

  const ServiceContext context_;
  const std::shared_ptr<SessionLink> link_;
  v1::SessionRequest state_;
};

class TelemetryLink final : public OpenStream, public std::enable_shared_from_this<TelemetryLink> {
 public:
  LatestWriter<v1::PushTelemetryRequest, v1::TelemetryAck>& writer() { return writer_; }
  void End(const absl::Status& status) override { writer_.End(status); }

  // Sends `ack` at `time`.
  void SendAt(v1::TelemetryAck ack, absl::Time time) {
    if (time <= absl::Now()) {
      writer_.Send(std::move(ack));
      return;
    }
    absl::MutexLock lock(&mutex_);
    if (!closed_) {
      // A new one each time: the callback of the last may still be returning.
      alarm_.emplace().Set(absl::ToChronoTime(time),
                           [self = shared_from_this(), ack](bool) { self->writer_.Send(ack); });
    }
  }
  // Nothing is sent any more.
  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    if (alarm_.has_value()) {
      alarm_->Cancel();
    }
  }

 private:
  LatestWriter<v1::PushTelemetryRequest, v1::TelemetryAck> writer_;
  absl::Mutex mutex_;
  // At most one is set: the next batch is read after the acknowledgement.
  std::optional<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// One batch at a time: the next one is read after this one is acknowledged, which
// bounds what a worker can have in the coordinator's memory. A worker that reports more
// points than it may gets its acknowledgements later; nothing is dropped.
class TelemetryReactor final
    : public grpc::ServerBidiReactor<v1::PushTelemetryRequest, v1::TelemetryAck> {
 public:
  explicit TelemetryReactor(const ServiceContext& context)
      : context_(context),
        link_(std::make_shared<TelemetryLink>()),
        rate_(context.streams->limits().points_per_second) {
    link_->writer().Attach(this);
    StartRead(&batch_);
    if (const absl::Status added = context_.streams->AddWorker(link_); !added.ok()) {
      link_->End(added);
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      link_->End(absl::OkStatus());
      return;
    }
    G2LL_FAILPOINT("api.telemetry.received");
    const absl::Time ack_time = absl::Now() + TakeFromRate();
    context_.coordinator->Call<int64_t>(
        [batch = wire::FromProto(batch_)](Core& core, absl::Time now) {
          return absl::StatusOr<int64_t>(core.PushTelemetry(batch, now));
        },
        [link = link_, uid = batch_.job_uid(), epoch = batch_.epoch(), rank = batch_.rank(),
         ack_time](absl::StatusOr<int64_t> stored) {
          G2LL_FAILPOINT("api.telemetry.committed");
          if (!stored.ok()) {
            link->End(stored.status());
            return;
          }
          v1::TelemetryAck ack;
          ack.set_job_uid(uid);
          ack.set_epoch(epoch);
          ack.set_rank(rank);
          ack.set_local_seq(*stored);
          link->SendAt(std::move(ack), ack_time);
          G2LL_FAILPOINT("api.telemetry.acknowledged");
        });
  }
  void OnWriteDone(bool ok) override {
    link_->writer().Written();
    if (ok) {
      StartRead(&batch_);
    }
  }
  void OnCancel() override { link_->End(absl::CancelledError("the worker went away")); }
  void OnDone() override {
    link_->writer().Detach();
    link_->Close();
    context_.streams->Remove(link_);
    delete this;
  }

 private:
  // How long the batch's acknowledgement has to wait. Also counts what will be cut.
  absl::Duration TakeFromRate() {
    int64_t points = 0;
    int64_t long_lines = 0;
    for (const v1::TelemetryItem& item : batch_.items()) {
      points += item.has_metric() ? 1 : 0;
      long_lines += item.log().message().size() > wire::kMostLogBytes ? 1 : 0;
    }
    if (long_lines > 0) {
      context_.metrics->AddLimitHit("log_line_bytes", long_lines);
    }
    const absl::Duration wait = rate_.Take(points, absl::Now());
    if (wait > absl::ZeroDuration()) {
      context_.metrics->AddLimitHit("points_per_second");
    }
    return wait;
  }

  const ServiceContext context_;
  const std::shared_ptr<TelemetryLink> link_;
  telemetry::RateLimit rate_;
  v1::PushTelemetryRequest batch_;
};

}  // namespace

grpc::ServerBidiReactor<v1::SessionRequest, v1::DesiredState>* OpenSession(
    const ServiceContext& context) {
  return new SessionReactor(context);
}

grpc::ServerBidiReactor<v1::PushTelemetryRequest, v1::TelemetryAck>* OpenTelemetry(
    const ServiceContext& context) {
  return new TelemetryReactor(context);
}

}  // namespace g2ll::api
