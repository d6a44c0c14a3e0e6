#include "tests/train/assignments.h"

#include "proto/common/spec_defaults.h"

namespace g2ll::test {
namespace {

// Before the defaults, which differ between methods.
void SetMethod(v1::PretrainSpec& spec, v1::PretrainSpec::Method method) { spec.set_method(method); }
template <typename Spec>
void SetMethod(Spec&, v1::PretrainSpec::Method) {}

template <typename Spec>
trainer::v1::Assignment Smoke(const std::string& storage_root, const std::string& name, int batch,
                              Spec* (v1::JobSpec::*kind)(),
                              v1::PretrainSpec::Method method = v1::PretrainSpec::G2LL) {
  trainer::v1::Assignment assignment;
  assignment.set_job("projects/default/jobs/" + name);
  assignment.set_job_uid(name);
  assignment.set_epoch(1);
  assignment.set_world_size(1);
  assignment.set_threads(1);
  assignment.set_device("cpu");
  assignment.set_storage_root(storage_root);
  assignment.set_checkpoint_parent("checkpoints/" + name + "/e1");
  assignment.set_report_path("reports/" + name + "/e1");
  assignment.set_store_prefix("job/" + name + "/e1");
  assignment.set_advertise_host("127.0.0.1");
  assignment.mutable_collective_timeout()->set_seconds(60);
  Spec* spec = (assignment.mutable_spec()->*kind)();
  spec->set_recipe(v1::SMOKE);
  SetMethod(*spec, method);
  spec->mutable_data()->set_source("synthetic:dermoscopy?count=48&seed=1");
  spec->mutable_train()->set_global_batch(batch);
  spec::ApplyDefaults(assignment.mutable_spec());
  return assignment;
}

}  // namespace

trainer::v1::Assignment SmokePretrain(const std::string& storage_root, int batch,
                                      v1::PretrainSpec::Method method) {
  return Smoke(storage_root, "pre", batch, &v1::JobSpec::mutable_pretrain, method);
}

trainer::v1::Assignment SmokeFinetune(const std::string& storage_root, int batch) {
  return Smoke(storage_root, "ft", batch, &v1::JobSpec::mutable_finetune);
}

trainer::v1::Assignment SmokeEvaluate(const std::string& storage_root, int batch) {
  return Smoke(storage_root, "eval", batch, &v1::JobSpec::mutable_evaluate);
}

void PlaceRank(trainer::v1::Assignment& assignment, int rank, int world_size, int port) {
  assignment.set_rank(rank);
  assignment.set_local_rank(rank);
  assignment.set_world_size(world_size);
  assignment.set_store_address("127.0.0.1:" + std::to_string(port));
}

}  // namespace g2ll::test
