#ifndef WORKER_AGENT_ASSIGNMENT_H_
#define WORKER_AGENT_ASSIGNMENT_H_

#include "g2ll/trainer/v1/trainer.pb.h"
#include "g2ll/v1/spec.pb.h"
#include "g2ll/v1/worker.pb.h"
#include "worker/agent/settings.h"

namespace g2ll::agent {

// What a job of any kind says about its data; the defaults for a spec without a kind.
const v1::DataSpec& DataSpecOf(const v1::JobSpec& spec);

// Whether the job learns diagnoses.
bool NeedsClasses(const v1::JobSpec& spec);

// Check of the job's data that must pass before a start: pre-training reads images
// only, fine-tuning and evaluation need masks.
v1::DataCheck DataCheckOf(const v1::JobSpec& spec);

// What a trainer is told. `slot`: its place among the ranks of this host.
trainer::v1::Assignment MakeAssignment(const v1::DesiredAttempt& attempt, int rank, int slot,
                                       const AgentSettings& settings);

// Threads of one rank: the slot's equal share of the cores, at least one, or
// `cpus_per_rank` if that is fewer; 0 is no wish.
int ThreadsPerRank(int cpus, int slots, int cpus_per_rank);

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_ASSIGNMENT_H_
