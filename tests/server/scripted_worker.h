#ifndef TESTS_SERVER_SCRIPTED_WORKER_H_
#define TESTS_SERVER_SCRIPTED_WORKER_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "g2ll/v1/worker.grpc.pb.h"

namespace g2ll::testing {

// The wire side of an agent without processes: one session, whose report a test may
// change before it is sent.
class ScriptedWorker {
 public:
  ScriptedWorker(const std::shared_ptr<grpc::Channel>& channel, const std::string& storage_token)
      : stub_(v1::WorkerService::NewStub(channel)) {
    report_.set_worker("w1");
    report_.set_incarnation("i1");
    report_.mutable_inventory()->set_slots(1);
    report_.mutable_inventory()->set_cpus(1);
    report_.mutable_inventory()->set_device("cpu");
    report_.mutable_inventory()->set_storage_token(storage_token);
  }
  ~ScriptedWorker() {
    if (session_ == nullptr) return;
    call_.TryCancel();
    session_->Finish();
  }

  v1::SessionRequest& report() { return report_; }

  bool Send() {
    if (session_ == nullptr) session_ = stub_->Session(&call_);
    const bool sent = session_->Write(report_);
    report_.clear_data_checks();
    return sent;
  }

  // Does what is wanted until `done`; false if the session ends first.
  bool ObeyUntil(const std::function<bool()>& done) {
    while (!done()) {
      v1::DesiredState wish;
      if (!session_->Read(&wish)) return false;
      Obey(wish);
      if (!Send()) return false;
    }
    return true;
  }

  // Stores one batch; false if it was not acknowledged.
  bool Push(const v1::PushTelemetryRequest& batch) {
    grpc::ClientContext call;
    const auto stream = stub_->PushTelemetry(&call);
    v1::TelemetryAck ack;
    const bool stored = stream->Write(batch) && stream->Read(&ack);
    stream->WritesDone();
    return stream->Finish().ok() && stored;
  }

 private:
  void Obey(const v1::DesiredState& wish) {
    for (const v1::DataCheck& check : wish.data_checks()) {
      v1::DataCheckResult* result = report_.add_data_checks();
      result->set_id(check.id());
      result->set_ok(true);
    }
    report_.clear_attempts();
    for (const v1::DesiredAttempt& wanted : wish.attempts()) {
      v1::AttemptStatus* status = report_.add_attempts();
      status->set_job_uid(wanted.job_uid());
      status->set_epoch(wanted.epoch());
      status->set_store_address("127.0.0.1:1");
      status->add_ranks()->set_rank(0);
      const bool runs = wanted.phase() == v1::ATTEMPT_PHASE_RUN;
      const bool ends = wanted.phase() == v1::ATTEMPT_PHASE_STOP;
      status->set_phase(runs   ? v1::ATTEMPT_PHASE_TRAINING
                        : ends ? v1::ATTEMPT_PHASE_ENDED
                               : v1::ATTEMPT_PHASE_PREPARED);
    }
  }

  std::unique_ptr<v1::WorkerService::Stub> stub_;
  grpc::ClientContext call_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SessionRequest, v1::DesiredState>> session_;
  v1::SessionRequest report_;
};

}  // namespace g2ll::testing

#endif  // TESTS_SERVER_SCRIPTED_WORKER_H_
