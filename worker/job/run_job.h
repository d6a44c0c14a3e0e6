#ifndef WORKER_JOB_RUN_JOB_H_
#define WORKER_JOB_RUN_JOB_H_

#include <stop_token>

#include "absl/status/status.h"
#include "g2ll/trainer/v1/trainer.pb.h"
#include "worker/run/run_events.h"

namespace g2ll::job {

// Runs one rank of one attempt from joining its peers to its last checkpoint:
// the only place that turns a job's spec, with all its defaults, into objects.
//
// Sets the process's thread count and, for a GPU, loads the CUDA part of LibTorch,
// so it is called once and before the first tensor. Reports to `events`. Ends
// early, without a new checkpoint, after `stop` was asked for. Throws nothing;
// errors are one line and carry a train::FailureKind.
absl::Status RunJob(const trainer::v1::Assignment& assignment, run::RunEvents& events,
                    std::stop_token stop);

}  // namespace g2ll::job

#endif  // WORKER_JOB_RUN_JOB_H_
