#include "server/api/session_stream.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "proto/common/failpoint.h"
#include "server/wire/worker_wire.h"

namespace g2ll::api {
namespace {

using coordinator::Core;

// The sending half of a bidirectional stream: at most one message on its way and
// one that waits, which a newer one replaces. Thread safe.
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
    absl::MutexLock lock(&mutex_);
    next_ = std::move(response);
    Go();
  }
  void End(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) {
      end_ = net::ToGrpcStatus(status);
    }
    Go();
  }
  void Written() {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    Go();
  }

 private:
  void Go() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (reactor_ == nullptr || writing_ || finished_) {
      return;
    }
    if (end_.has_value()) {
      finished_ = true;
      reactor_->Finish(*end_);
    } else if (next_.has_value()) {
      writing_ = true;
      in_flight_ = *std::move(next_);
      next_.reset();
      reactor_->StartWrite(&in_flight_);
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

  // Of the coordinator's thread alone.
  std::string worker;
  int64_t session_id = 0;

 private:
  LatestWriter<v1::SessionRequest, v1::DesiredState> writer_;
};

class SessionReactor final : public grpc::ServerBidiReactor<v1::SessionRequest, v1::DesiredState> {
 public:
  explicit SessionReactor(const ServiceContext& context)
      : context_(context), link_(std::make_shared<SessionLink>()) {
    link_->writer().Attach(this);
    context_.streams->Add(link_);
    StartRead(&state_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      link_->End(absl::OkStatus());
      return;
    }
    G2LL_FAILPOINT("api.session.received");
    // A state that cannot be queued is left out: a newer one follows soon.
    context_.coordinator->Post(
        [link = link_, report = wire::FromProto(state_)](Core& core, absl::Time now) {
          Report(link, core, report, now);
        });
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

class TelemetryLink final : public OpenStream {
 public:
  LatestWriter<v1::PushTelemetryRequest, v1::TelemetryAck>& writer() { return writer_; }
  void End(const absl::Status& status) override { writer_.End(status); }

 private:
  LatestWriter<v1::PushTelemetryRequest, v1::TelemetryAck> writer_;
};

// One batch at a time: the next one is read after this one is acknowledged, which
// bounds what a worker can have in the coordinator's memory.
class TelemetryReactor final
    : public grpc::ServerBidiReactor<v1::PushTelemetryRequest, v1::TelemetryAck> {
 public:
  explicit TelemetryReactor(const ServiceContext& context)
      : context_(context), link_(std::make_shared<TelemetryLink>()) {
    link_->writer().Attach(this);
    context_.streams->Add(link_);
    StartRead(&batch_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      link_->End(absl::OkStatus());
      return;
    }
    G2LL_FAILPOINT("api.telemetry.received");
    context_.coordinator->Call<int64_t>(
        [batch = wire::FromProto(batch_)](Core& core, absl::Time now) {
          return absl::StatusOr<int64_t>(core.PushTelemetry(batch, now));
        },
        [link = link_, uid = batch_.job_uid(), epoch = batch_.epoch(),
         rank = batch_.rank()](absl::StatusOr<int64_t> stored) {
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
          link->writer().Send(std::move(ack));
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
    context_.streams->Remove(link_);
    delete this;
  }

 private:
  const ServiceContext context_;
  const std::shared_ptr<TelemetryLink> link_;
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
