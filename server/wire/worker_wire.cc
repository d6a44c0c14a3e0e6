#include "server/wire/worker_wire.h"

#include <algorithm>
#include <utility>

#include "proto/common/log.h"
#include "server/wire/job_wire.h"
#include "server/wire/time_wire.h"

namespace g2ll::wire {
namespace {

constexpr size_t kMostNameBytes = 256;
constexpr size_t kMostSeries = 256;
constexpr size_t kMostPathBytes = 4096;
constexpr size_t kMostMessageBytes = 4096;

// What a worker says is kept and shown to people: no control characters, and a bound.
std::string Plain(const std::string& text, size_t most) {
  return std::string(log::CutUtf8(log::EscapeControl(text), most));
}

cluster::AttemptPhase ReadPhase(v1::AttemptPhase phase) {
  switch (phase) {
    case v1::ATTEMPT_PHASE_PREPARED:
      return cluster::AttemptPhase::kPrepared;
    case v1::ATTEMPT_PHASE_RUN:
      return cluster::AttemptPhase::kRun;
    case v1::ATTEMPT_PHASE_TRAINING:
      return cluster::AttemptPhase::kTraining;
    case v1::ATTEMPT_PHASE_STOP:
      return cluster::AttemptPhase::kStop;
    case v1::ATTEMPT_PHASE_ENDED:
      return cluster::AttemptPhase::kEnded;
    default:
      return cluster::AttemptPhase::kPrepare;
  }
}

v1::AttemptPhase WritePhase(cluster::AttemptPhase phase) {
  return static_cast<v1::AttemptPhase>(phase);
}
static_assert(static_cast<int>(cluster::AttemptPhase::kPrepare) == v1::ATTEMPT_PHASE_PREPARE &&
              static_cast<int>(cluster::AttemptPhase::kRun) == v1::ATTEMPT_PHASE_RUN &&
              static_cast<int>(cluster::AttemptPhase::kStop) == v1::ATTEMPT_PHASE_STOP &&
              static_cast<int>(cluster::AttemptPhase::kDrain) == v1::ATTEMPT_PHASE_DRAIN &&
              static_cast<int>(cluster::AttemptPhase::kKill) == v1::ATTEMPT_PHASE_KILL);
static_assert(static_cast<int>(cluster::Schedulable::kAllowed) == v1::ALLOWED &&
              static_cast<int>(cluster::Schedulable::kCordoned) == v1::CORDONED &&
              static_cast<int>(cluster::Schedulable::kDraining) == v1::DRAINING &&
              static_cast<int>(cluster::Schedulable::kQuarantined) == v1::QUARANTINED);
static_assert(static_cast<int>(cluster::WorkerState::kReady) == v1::Worker::READY &&
              static_cast<int>(cluster::WorkerState::kSuspect) == v1::Worker::SUSPECT &&
              static_cast<int>(cluster::WorkerState::kLost) == v1::Worker::LOST &&
              static_cast<int>(cluster::WorkerState::kUnusable) == v1::Worker::UNUSABLE);

cluster::AttemptStatus ReadAttempt(const v1::AttemptStatus& proto) {
  cluster::AttemptStatus status;
  status.job_uid = proto.job_uid();
  status.epoch = proto.epoch();
  status.phase = ReadPhase(proto.phase());
  status.store_address = Plain(proto.store_address(), kMostNameBytes);
  status.store_pid = proto.store_pid();
  status.data_digest = Plain(proto.data_digest(), kMostNameBytes);
  for (const v1::RankStatus& rank : proto.ranks()) {
    status.ranks.push_back(
        {rank.rank(), rank.pid(), rank.joined(), rank.exited(), rank.exit_code(), rank.signal()});
  }
  if (proto.has_failure()) {
    status.failure = FromProto(proto.failure());
    status.failure->message = Plain(proto.failure().message(), kMostMessageBytes);
    status.failure->worker = Plain(proto.failure().worker(), kMostNameBytes);
  }
  if (proto.has_failure_time()) {
    status.failure_time = FromProto(proto.failure_time());
  }
  status.report_path = Plain(proto.report_path(), kMostPathBytes);
  if (proto.has_progress()) {
    status.progress = FromProto(proto.progress());
  }
  status.message = Plain(proto.message(), kMostMessageBytes);
  return status;
}

cluster::TelemetryItem ReadItem(const v1::TelemetryItem& proto) {
  cluster::TelemetryItem item;
  item.local_seq = proto.local_seq();
  if (proto.has_metric()) {
    cluster::MetricRecord point;
    point.name = Plain(proto.metric().name(), kMostNameBytes);
    point.value = proto.metric().value();
    point.step = proto.metric().step();
    point.epoch = proto.metric().epoch();
    point.time = FromProto(proto.time());
    item.value = std::move(point);
  } else {
    cluster::LogRecord line;
    line.level = Plain(proto.log().level(), kMostNameBytes);
    line.message = Plain(proto.log().message(), kMostLogBytes);
    line.time = FromProto(proto.time());
    item.value = std::move(line);
  }
  return item;
}

}  // namespace

cluster::WorkerReport FromProto(const v1::SessionRequest& state) {
  cluster::WorkerReport report;
  report.worker = state.worker();
  report.incarnation = Plain(state.incarnation(), kMostNameBytes);
  report.sequence = state.sequence();
  const v1::Inventory& inventory = state.inventory();
  report.inventory.slots = inventory.slots();
  report.inventory.device =
      inventory.device() == "cuda" ? cluster::Device::kCuda : cluster::Device::kCpu;
  report.inventory.cpus = inventory.cpus();
  report.inventory.pid = inventory.pid();
  report.inventory.http_address = Plain(inventory.http_address(), kMostNameBytes);
  report.inventory.advertise_host = Plain(inventory.advertise_host(), kMostNameBytes);
  report.inventory.version = Plain(inventory.version(), kMostNameBytes);
  report.inventory.storage_token = inventory.storage_token();
  report.inventory.storage_error = Plain(inventory.storage_error(), kMostMessageBytes);
  for (const v1::AttemptStatus& attempt : state.attempts()) {
    report.attempts.push_back(ReadAttempt(attempt));
  }
  for (const v1::DataCheckResult& check : state.data_checks()) {
    report.data_checks.push_back({check.id(), check.ok(), Plain(check.message(), kMostMessageBytes),
                                  Plain(check.digest(), kMostNameBytes), check.images()});
  }
  report.draining = state.draining();
  return report;
}

std::map<std::string, double> MetricsOf(const v1::CommitCheckpointRequest& request) {
  std::map<std::string, double> metrics;
  for (const auto& [name, value] : request.metrics()) {
    if (metrics.size() == kMostSeries) break;
    metrics[Plain(name, kMostNameBytes)] = value;
  }
  return metrics;
}

cluster::TelemetryBatch FromProto(const v1::PushTelemetryRequest& batch) {
  cluster::TelemetryBatch record;
  record.key = {batch.job_uid(), batch.epoch(), batch.rank()};
  for (const v1::TelemetryItem& item : batch.items()) {
    record.items.push_back(ReadItem(item));
  }
  return record;
}

v1::DesiredState ToProto(const cluster::DesiredWorker& desired, const cluster::PushStamp& stamp) {
  v1::DesiredState proto;
  proto.set_sequence(stamp.sequence);
  proto.set_heard_sequence(stamp.heard_sequence);
  proto.set_coordinator_term(desired.coordinator_term);
  *proto.mutable_lease() = ToProto(desired.lease);
  *proto.mutable_heartbeat_interval() = ToProto(desired.heartbeat_interval);
  proto.set_storage_token(desired.storage_token);
  for (const cluster::DesiredAttempt& attempt : desired.attempts) {
    v1::DesiredAttempt* wanted = proto.add_attempts();
    wanted->set_job_uid(attempt.job_uid);
    wanted->set_job(attempt.job);
    wanted->set_epoch(attempt.epoch);
    wanted->set_number(attempt.number);
    wanted->set_phase(WritePhase(attempt.phase));
    wanted->set_world_size(attempt.world_size);
    for (const int32_t rank : attempt.ranks) {
      wanted->add_ranks(rank);
    }
    wanted->set_serves_store(attempt.serves_store);
    wanted->set_store_address(attempt.store_address);
    // Only this program writes these bytes.
    wanted->mutable_spec()->ParseFromString(*attempt.spec);
    wanted->set_resume_path(attempt.resume_path);
    wanted->set_source_path(attempt.source_path);
    if (attempt.drain_deadline != absl::InfinitePast()) {
      *wanted->mutable_drain_time() =
          ToProto(std::max(absl::ZeroDuration(), attempt.drain_deadline - stamp.now));
    }
  }
  for (const cluster::DataCheck& check : desired.data_checks) {
    v1::DataCheck* wanted = proto.add_data_checks();
    wanted->set_id(check.id);
    wanted->set_source(check.source);
    wanted->set_split(check.split);
    wanted->set_needs_masks(check.needs_masks);
    if (check.spec != nullptr) wanted->mutable_spec()->ParseFromString(*check.spec);
  }
  return proto;
}

v1::Worker ToProto(const cluster::WorkerRecord& worker,
                   const std::function<std::string(const std::string&)>& job_name) {
  v1::Worker proto;
  const cluster::WorkerReport& report = worker.report;
  proto.set_name(report.worker);
  proto.set_state(static_cast<v1::Worker::State>(worker.state));
  proto.set_slots(report.inventory.slots);
  proto.set_free_slots(worker.free_slots);
  proto.set_device(std::string(cluster::Name(report.inventory.device)));
  proto.set_pid(report.inventory.pid);
  if (worker.last_heartbeat != absl::InfinitePast()) {
    *proto.mutable_last_heartbeat_time() = ToProto(worker.last_heartbeat);
  }
  proto.set_http_address(report.inventory.http_address);
  proto.set_message(worker.message);
  proto.set_version(report.inventory.version);
  proto.set_schedulable(static_cast<v1::Schedulable>(worker.wish.schedulable));
  proto.set_schedulable_reason(worker.wish.reason);
  proto.set_cpus(report.inventory.cpus);
  proto.set_incarnation(report.incarnation);
  proto.set_unknown_slots(worker.unknown_slots);
  for (const cluster::AttemptStatus& attempt : report.attempts) {
    const std::string job = job_name(attempt.job_uid);
    for (const cluster::RankStatus& rank : attempt.ranks) {
      if (rank.pid > 0 && !rank.exited) {
        v1::TrainerProcess* trainer = proto.add_trainers();
        trainer->set_pid(rank.pid);
        trainer->set_job(job);
        trainer->set_rank(rank.rank);
      }
    }
    if (attempt.store_pid > 0) {
      v1::StoreProcess* store = proto.add_stores();
      store->set_pid(attempt.store_pid);
      store->set_job(job);
    }
  }
  return proto;
}

}  // namespace g2ll::wire
