#ifndef WORKER_DIST_C10D_COLLECTIVE_H_
#define WORKER_DIST_C10D_COLLECTIVE_H_

#include <torch/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/dist/collective.h"

namespace g2ll::dist {

// How a rank finds its peers.
struct C10dOptions {
  // Rendezvous store of the attempt.
  std::string store_host;
  int store_port = 0;
  // Before every key, so that attempts never meet: `job/{uid}/e{epoch}`.
  std::string store_prefix;
  int rank = 0;
  int world_size = 1;
  // Longest time for one collective, and for the group to form.
  absl::Duration timeout = absl::Minutes(5);
  // Address or name at which peers reach this host; empty: chosen by its name.
  std::string advertise_host;
  // Where gradients live; CUDA takes NCCL from the plugin, which must be loaded.
  torch::Device device = torch::kCPU;
};

// Joins the group: Gloo for CPU tensors and, on a GPU, NCCL for its tensors.
// Blocks until all ranks are there. Errors: Unavailable (the store or a peer
// is not reached in time; names it), FailedPrecondition (no NCCL plugin).
absl::StatusOr<std::unique_ptr<Collective>> JoinC10dGroup(const C10dOptions& options);

}  // namespace g2ll::dist

#endif  // WORKER_DIST_C10D_COLLECTIVE_H_
