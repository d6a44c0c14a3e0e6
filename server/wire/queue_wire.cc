#include "server/wire/queue_wire.h"

#include "absl/strings/str_cat.h"
#include "server/wire/job_wire.h"
#include "server/wire/time_wire.h"

namespace g2ll::wire {
namespace {

static_assert(static_cast<int>(cluster::QueueStop::kNone) == v1::Queue::NONE &&
              static_cast<int>(cluster::QueueStop::kHold) == v1::Queue::HOLD &&
              static_cast<int>(cluster::QueueStop::kHoldAndDrain) == v1::Queue::HOLD_AND_DRAIN);

}  // namespace

v1::JobExplanation ToProto(const cluster::JobExplanation& explanation) {
  v1::JobExplanation proto;
  proto.set_job(explanation.job);
  proto.set_state(static_cast<v1::Job::State>(explanation.state));
  proto.mutable_reason()->set_code(explanation.reason.code);
  proto.mutable_reason()->set_message(explanation.reason.message);
  proto.set_slots_needed(explanation.slots_needed);
  proto.set_slots_free(explanation.slots_free);
  proto.set_slots_total(explanation.slots_total);
  for (const std::string& blocker : explanation.blockers) {
    proto.add_blockers(blocker);
  }
  proto.set_position(explanation.position);
  proto.set_waiting(explanation.waiting);
  if (explanation.estimated_start != absl::InfiniteFuture()) {
    *proto.mutable_estimated_start() = ToProto(explanation.estimated_start);
  }
  if (explanation.next_try != absl::InfinitePast()) {
    *proto.mutable_next_try() = ToProto(explanation.next_try);
  }
  if (explanation.last_failure.has_value()) {
    *proto.mutable_last_failure() = ToProto(*explanation.last_failure);
  }
  proto.set_advice(explanation.advice);
  return proto;
}

v1::Queue ToProto(const cluster::QueueRecord& queue) {
  v1::Queue proto;
  proto.set_name(queue.FullName());
  proto.set_etag(absl::StrCat(queue.revision));
  proto.set_stop_policy(static_cast<v1::Queue::StopPolicy>(queue.stop));
  proto.set_reason(queue.reason);
  proto.set_max_waiting_jobs(queue.max_waiting_jobs);
  return proto;
}

v1::Project ToProto(const cluster::ProjectRecord& project) {
  v1::Project proto;
  proto.set_name(absl::StrCat("projects/", project.name));
  proto.set_etag(absl::StrCat(project.revision));
  proto.set_weight(project.weight);
  proto.set_guaranteed_slots(project.guaranteed_slots);
  proto.set_max_slots(project.max_slots);
  proto.set_max_running_jobs(project.max_running_jobs);
  proto.set_max_waiting_jobs(project.max_waiting_jobs);
  proto.set_max_slot_hours(project.max_slot_hours);
  proto.set_slot_hours(project.slot_seconds / 3600);
  proto.set_recent_usage(project.recent_usage);
  return proto;
}

}  // namespace g2ll::wire
