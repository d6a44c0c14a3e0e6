#include "worker/agent/assignment.h"

#include <algorithm>
#include <string>

#include "worker/agent/proto_time.h"

namespace g2ll::agent {
namespace {

struct Common {
  const v1::DataSpec* data = nullptr;
  const v1::ResourceSpec* resources = nullptr;
  bool needs_masks = false;
};

Common CommonOf(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kPretrain:
      return {&spec.pretrain().data(), &spec.pretrain().resources(), false};
    case v1::JobSpec::kFinetune:
      return {&spec.finetune().data(), &spec.finetune().resources(), true};
    case v1::JobSpec::kEvaluate:
      return {&spec.evaluate().data(), &spec.evaluate().resources(), true};
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return {&v1::DataSpec::default_instance(), &v1::ResourceSpec::default_instance(), false};
}

// `{kind}/{job uid}/e{epoch}`, relative to the storage root.
std::string AttemptFolder(const char* kind, const v1::DesiredAttempt& attempt) {
  return std::string(kind) + "/" + attempt.job_uid() + "/e" + std::to_string(attempt.epoch());
}

}  // namespace

const v1::DataSpec& DataSpecOf(const v1::JobSpec& spec) { return *CommonOf(spec).data; }

bool NeedsClasses(const v1::JobSpec& spec) {
  return spec.pretrain().method() == v1::PretrainSpec::SUPERVISED;
}

v1::DataCheck DataCheckOf(const v1::JobSpec& spec) {
  const Common common = CommonOf(spec);
  v1::DataCheck check;
  check.set_source(common.data->source());
  check.set_split(common.data->split());
  check.set_needs_masks(common.needs_masks);
  *check.mutable_spec() = spec;
  return check;
}

int ThreadsPerRank(int cpus, int slots, int cpus_per_rank) {
  const int share = std::max(1, cpus / std::max(1, slots));
  return cpus_per_rank > 0 ? std::min(share, cpus_per_rank) : share;
}

trainer::v1::Assignment MakeAssignment(const v1::DesiredAttempt& attempt, int rank, int slot,
                                       const AgentSettings& settings) {
  const v1::ResourceSpec& resources = *CommonOf(attempt.spec()).resources;
  trainer::v1::Assignment assignment;
  assignment.set_job(attempt.job());
  assignment.set_job_uid(attempt.job_uid());
  assignment.set_epoch(attempt.epoch());
  assignment.set_attempt(attempt.number());
  assignment.set_rank(rank);
  assignment.set_world_size(attempt.world_size());
  assignment.set_local_rank(slot);
  assignment.set_threads(ThreadsPerRank(settings.cpus, settings.slots, resources.cpus_per_rank()));
  assignment.set_device(resources.device() == v1::ResourceSpec::CPU ? "cpu" : settings.device);
  *assignment.mutable_spec() = attempt.spec();
  assignment.set_store_address(attempt.store_address());
  assignment.set_store_prefix("job/" + attempt.job_uid() + "/e" + std::to_string(attempt.epoch()));
  assignment.set_storage_root(settings.storage_root);
  assignment.set_resume_path(attempt.resume_path());
  assignment.set_source_path(attempt.source_path());
  assignment.set_checkpoint_parent(AttemptFolder("checkpoints", attempt));
  assignment.set_report_path(AttemptFolder("reports", attempt));
  *assignment.mutable_collective_timeout() = ToProto(settings.collective_timeout);
  assignment.set_cache_dir(settings.work_dir + "/cache");
  assignment.set_advertise_host(settings.advertise_host);
  return assignment;
}

}  // namespace g2ll::agent
