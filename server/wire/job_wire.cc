#include "server/wire/job_wire.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "proto/common/spec_access.h"
#include "server/wire/time_wire.h"

namespace g2ll::wire {
namespace {

// The numbers of the records' enums are those of the wire.
template <auto Record, auto Proto>
constexpr bool kSame = static_cast<int>(Record) == static_cast<int>(Proto);
static_assert(kSame<cluster::JobState::kPending, v1::Job::PENDING> &&
              kSame<cluster::JobState::kStarting, v1::Job::STARTING> &&
              kSame<cluster::JobState::kRunning, v1::Job::RUNNING> &&
              kSame<cluster::JobState::kPreempting, v1::Job::PREEMPTING> &&
              kSame<cluster::JobState::kRecovering, v1::Job::RECOVERING> &&
              kSame<cluster::JobState::kPausing, v1::Job::PAUSING> &&
              kSame<cluster::JobState::kPaused, v1::Job::PAUSED> &&
              kSame<cluster::JobState::kCancelling, v1::Job::CANCELLING> &&
              kSame<cluster::JobState::kSucceeded, v1::Job::SUCCEEDED> &&
              kSame<cluster::JobState::kFailed, v1::Job::FAILED> &&
              kSame<cluster::JobState::kCancelled, v1::Job::CANCELLED>);
static_assert(kSame<cluster::AttemptState::kPreparing, v1::Attempt::PREPARING> &&
              kSame<cluster::AttemptState::kRendezvous, v1::Attempt::RENDEZVOUS> &&
              kSame<cluster::AttemptState::kRunning, v1::Attempt::RUNNING> &&
              kSame<cluster::AttemptState::kStopping, v1::Attempt::STOPPING> &&
              kSame<cluster::AttemptState::kEnded, v1::Attempt::ENDED>);
static_assert(kSame<cluster::AttemptOutcome::kSucceeded, v1::Attempt::SUCCEEDED> &&
              kSame<cluster::AttemptOutcome::kFailed, v1::Attempt::FAILED> &&
              kSame<cluster::AttemptOutcome::kCancelled, v1::Attempt::CANCELLED> &&
              kSame<cluster::AttemptOutcome::kPreempted, v1::Attempt::PREEMPTED> &&
              kSame<cluster::AttemptOutcome::kLost, v1::Attempt::LOST>);
static_assert(kSame<cluster::FailureClass::kConfig, v1::Failure::CONFIG> &&
              kSame<cluster::FailureClass::kData, v1::Failure::DATA> &&
              kSame<cluster::FailureClass::kNonFinite, v1::Failure::NON_FINITE> &&
              kSame<cluster::FailureClass::kOutOfMemory, v1::Failure::OUT_OF_MEMORY> &&
              kSame<cluster::FailureClass::kCollective, v1::Failure::COLLECTIVE> &&
              kSame<cluster::FailureClass::kWorkerLost, v1::Failure::WORKER_LOST> &&
              kSame<cluster::FailureClass::kStorage, v1::Failure::STORAGE> &&
              kSame<cluster::FailureClass::kKilled, v1::Failure::KILLED> &&
              kSame<cluster::FailureClass::kStartTimeout, v1::Failure::START_TIMEOUT> &&
              kSame<cluster::FailureClass::kHardware, v1::Failure::HARDWARE> &&
              kSame<cluster::FailureClass::kUnknown, v1::Failure::UNKNOWN>);
static_assert(kSame<cluster::Desired::kRun, v1::Job::RUN> &&
              kSame<cluster::Desired::kPause, v1::Job::PAUSE> &&
              kSame<cluster::Desired::kCancel, v1::Job::CANCEL>);
static_assert(kSame<cluster::CheckpointState::kCommitted, v1::Checkpoint::COMMITTED> &&
              kSame<cluster::CheckpointState::kDamaged, v1::Checkpoint::DAMAGED>);

cluster::Priority ReadPriority(const v1::PolicySpec& policy) {
  switch (policy.priority()) {
    case v1::PolicySpec::LOW:
      return cluster::Priority::kLow;
    case v1::PolicySpec::HIGH:
      return cluster::Priority::kHigh;
    default:
      return cluster::Priority::kNormal;
  }
}

cluster::Device ReadDevice(const v1::ResourceSpec& resources) {
  switch (resources.device()) {
    case v1::ResourceSpec::CPU:
      return cluster::Device::kCpu;
    case v1::ResourceSpec::CUDA:
      return cluster::Device::kCuda;
    default:
      return cluster::Device::kAuto;
  }
}

cluster::JobKind ReadKind(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kFinetune:
      return cluster::JobKind::kFinetune;
    case v1::JobSpec::kEvaluate:
      return cluster::JobKind::kEvaluate;
    case v1::JobSpec::kPretrain:
    case v1::JobSpec::KIND_NOT_SET:
      return cluster::JobKind::kPretrain;
  }
  return cluster::JobKind::kPretrain;
}

void SetTime(absl::Time time, google::protobuf::Timestamp* proto) { *proto = ToProto(time); }

v1::Attempt ToProto(const cluster::AttemptRecord& attempt) {
  v1::Attempt proto;
  proto.set_number(attempt.number);
  proto.set_epoch(attempt.epoch);
  proto.set_state(static_cast<v1::Attempt::State>(attempt.state));
  proto.set_outcome(static_cast<v1::Attempt::Outcome>(attempt.outcome));
  proto.set_world_size(attempt.world_size());
  for (const std::string& worker : attempt.workers) {
    proto.add_workers(worker);
  }
  SetTime(attempt.start_time, proto.mutable_start_time());
  if (attempt.ended()) {
    SetTime(attempt.end_time, proto.mutable_end_time());
  }
  if (attempt.failure.has_value()) {
    *proto.mutable_failure() = wire::ToProto(*attempt.failure);
  }
  proto.set_resume_step(attempt.resume_step);
  proto.set_lost_steps(attempt.lost_steps);
  if (attempt.run_time != absl::InfinitePast()) {
    SetTime(attempt.run_time, proto.mutable_run_time());
  }
  if (attempt.stop_deadline != absl::InfinitePast()) {
    SetTime(attempt.stop_deadline, proto.mutable_stop_deadline());
  }
  proto.set_stop_reason(attempt.stop_reason);
  return proto;
}

void ReadPolicy(const v1::PolicySpec& policy, cluster::JobRecord* job) {
  job->priority = ReadPriority(policy);
  job->max_retries = policy.max_retries();
  job->max_infra_retries = policy.max_infra_retries();
  job->queue = policy.queue().empty() ? "default" : policy.queue();
  job->preemptible = policy.preemptible();
  job->max_runtime = FromProto(policy.max_runtime());
  job->min_runtime = FromProto(policy.min_runtime());
  job->grace = FromProto(policy.grace());
  job->on_failed_dependency = policy.on_failed_dependency() == v1::PolicySpec::HOLD
                                  ? cluster::OnFailedDependency::kHold
                                  : cluster::OnFailedDependency::kFail;
}

void AddBudgets(const cluster::JobRecord& job, v1::Job* proto) {
  v1::Budgets* budgets = proto->mutable_budgets();
  budgets->set_used_retries(job.used_retries);
  budgets->set_used_infra_retries(job.used_infra_retries);
  budgets->set_preemptions(job.preemptions);
  budgets->set_without_progress(job.without_progress);
  budgets->set_failed_starts(job.failed_starts);
  for (const cluster::ExcludedWorker& excluded : job.excluded_workers) {
    v1::ExcludedWorker* added = proto->add_excluded_workers();
    added->set_worker(excluded.worker);
    added->set_reason(excluded.reason);
  }
}

}  // namespace

std::string SerializeDeterministic(const google::protobuf::MessageLite& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

void ReadSpec(const v1::JobSpec& spec, cluster::JobRecord* job) {
  job->spec = std::make_shared<const std::string>(SerializeDeterministic(spec));
  job->kind = ReadKind(spec);
  const v1::ResourceSpec& resources = spec::Resources(spec);
  job->min_ranks = std::max(1, resources.ranks().min());
  job->max_ranks = std::max(job->min_ranks, resources.ranks().max());
  job->device = ReadDevice(resources);
  job->cpus_per_rank = resources.cpus_per_rank();
  // An evaluation has no update, so any number of ranks divides its work.
  job->global_batch = job->kind == cluster::JobKind::kEvaluate && job->max_ranks == 1
                          ? 1
                          : std::max(1, spec::Train(spec).global_batch());
  ReadPolicy(spec::Policy(spec), job);
  job->source = spec::SourceOf(spec);
  const v1::DataSpec& data = spec::Data(spec);
  job->data_source = data.source();
  job->data_split = data.split();
  job->needs_masks = job->kind != cluster::JobKind::kPretrain;
}

v1::Job ToProto(const cluster::JobRecord& job) {
  v1::Job proto;
  proto.set_name(job.FullName());
  proto.set_uid(job.uid);
  proto.set_etag(absl::StrCat(job.revision));
  proto.mutable_labels()->insert(job.labels.begin(), job.labels.end());
  // Only this program writes these bytes.
  proto.mutable_spec()->ParseFromString(*job.spec);
  proto.set_kind(std::string(spec::KindName(proto.spec())));
  proto.set_state(static_cast<v1::Job::State>(job.state));
  proto.mutable_state_reason()->set_code(job.reason.code);
  proto.mutable_state_reason()->set_message(job.reason.message);
  for (const cluster::AttemptRecord& attempt : job.attempts) {
    *proto.add_attempts() = ToProto(attempt);
  }
  *proto.mutable_progress() = ToProto(job.progress);
  proto.mutable_metrics()->insert(job.metrics.begin(), job.metrics.end());
  if (job.best_metric.has_value()) {
    proto.mutable_best_metric()->set_name(job.best_metric->name);
    proto.mutable_best_metric()->set_value(job.best_metric->value);
    proto.mutable_best_metric()->set_step(job.best_metric->step);
  }
  proto.set_latest_checkpoint(job.latest_checkpoint);
  SetTime(job.create_time, proto.mutable_create_time());
  if (job.start_time != absl::InfinitePast()) {
    SetTime(job.start_time, proto.mutable_start_time());
  }
  if (job.end_time != absl::InfinitePast()) {
    SetTime(job.end_time, proto.mutable_end_time());
  }
  proto.set_desired(static_cast<v1::Job::Desired>(job.desired));
  proto.set_queue(absl::StrCat("projects/", job.project, "/queues/", job.queue));
  AddBudgets(job, &proto);
  for (const cluster::LineageRecord& entry : job.lineage) {
    v1::Lineage* lineage = proto.add_lineage();
    lineage->set_from(entry.from);
    lineage->set_checkpoint(entry.checkpoint_id);
    lineage->set_sha256(entry.sha256);
  }
  return proto;
}

v1::JobEvent ToProto(const cluster::EventRecord& event) {
  v1::JobEvent proto;
  SetTime(event.time, proto.mutable_time());
  proto.set_actor(event.actor);
  proto.set_type(event.type);
  proto.set_message(event.message);
  return proto;
}

v1::Checkpoint ToProto(const cluster::CheckpointRecord& checkpoint) {
  v1::Checkpoint proto;
  proto.set_id(checkpoint.id);
  proto.set_job(checkpoint.job);
  proto.set_step(checkpoint.step);
  proto.set_epoch(checkpoint.epoch);
  proto.set_path(checkpoint.path);
  proto.set_size_bytes(checkpoint.size_bytes);
  proto.set_sha256(checkpoint.sha256);
  proto.set_state(static_cast<v1::Checkpoint::State>(checkpoint.state));
  proto.set_pinned(checkpoint.pinned);
  proto.set_best(checkpoint.best);
  SetTime(checkpoint.create_time, proto.mutable_create_time());
  proto.mutable_metrics()->insert(checkpoint.metrics.begin(), checkpoint.metrics.end());
  return proto;
}

v1::Failure ToProto(const cluster::FailureRecord& failure) {
  v1::Failure proto;
  proto.set_class_(static_cast<v1::Failure::Class>(failure.failure_class));
  proto.set_rank(failure.rank);
  proto.set_exit_code(failure.exit_code);
  proto.set_signal(failure.signal);
  proto.set_message(failure.message);
  proto.set_worker(failure.worker);
  return proto;
}

cluster::FailureRecord FromProto(const v1::Failure& failure) {
  cluster::FailureRecord record;
  const int failure_class = failure.class_();
  record.failure_class =
      failure_class >= v1::Failure::CONFIG && failure_class <= v1::Failure::UNKNOWN
          ? static_cast<cluster::FailureClass>(failure_class)
          : cluster::FailureClass::kUnknown;
  record.rank = failure.rank();
  record.exit_code = failure.exit_code();
  record.signal = failure.signal();
  record.message = failure.message();
  record.worker = failure.worker();
  return record;
}

v1::Progress ToProto(const cluster::JobProgress& progress) {
  v1::Progress proto;
  proto.set_step(progress.step);
  proto.set_total_steps(progress.total_steps);
  proto.set_epoch(progress.epoch);
  proto.set_images_per_second(progress.images_per_second);
  if (progress.eta.has_value()) {
    *proto.mutable_eta() = ToProto(*progress.eta);
  }
  return proto;
}

cluster::JobProgress FromProto(const v1::Progress& progress) {
  cluster::JobProgress record;
  record.step = progress.step();
  record.total_steps = progress.total_steps();
  record.epoch = progress.epoch();
  record.images_per_second = progress.images_per_second();
  if (progress.has_eta()) {
    record.eta = FromProto(progress.eta());
  }
  return record;
}

v1::MetricPoint ToProto(const cluster::MetricRecord& point) {
  v1::MetricPoint proto;
  proto.set_seq(point.seq);
  proto.set_attempt(point.attempt);
  proto.set_step(point.step);
  proto.set_epoch(point.epoch);
  proto.set_name(point.name);
  proto.set_value(point.value);
  SetTime(point.time, proto.mutable_time());
  return proto;
}

v1::LogLine ToProto(const cluster::LogRecord& line) {
  v1::LogLine proto;
  proto.set_seq(line.seq);
  proto.set_attempt(line.attempt);
  proto.set_rank(line.rank);
  SetTime(line.time, proto.mutable_time());
  proto.set_level(line.level);
  proto.set_message(line.message);
  return proto;
}

}  // namespace g2ll::wire
