#ifndef SERVER_COORDINATOR_GANG_H_
#define SERVER_COORDINATOR_GANG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/cluster/records.h"
#include "server/cluster/worker_records.h"
#include "server/coordinator/options.h"

namespace g2ll::coordinator {

// One worker of a gang, as far as the coordinator knows it.
struct GangMember {
  std::string worker;
  std::vector<int32_t> ranks;
  // What it reports about the attempt; null if its newest report does not have it.
  const cluster::AttemptStatus* status = nullptr;
  // It has spoken since the coordinator started.
  bool reported = false;
  // It has reported this attempt at some time.
  bool seen = false;
  // Its agent was started again since it reported this attempt.
  bool restarted = false;
  // Its agent is being stopped.
  bool draining = false;
  // Last word of it.
  absl::Time heard = absl::InfinitePast();
  // Nothing has been heard of it for so long that it counts as lost.
  bool silent = false;
  // Its session has broken and it did not come back at once.
  bool disconnected = false;
  // When a step that it reported was above the one before.
  absl::Time step_time = absl::InfinitePast();
};

// What the reports of all members together say.
struct GangVerdict {
  bool all_prepared = false;
  bool all_training = false;
  // Nothing of the attempt runs anywhere.
  bool all_over = false;
  // Every rank ended by itself with code 0.
  bool all_succeeded = false;
  // Workers on which something of the attempt may run on although it is given up: all
  // that is known is that they are not heard of.
  std::vector<std::string> lost;
  // One sentence if a worker is not heard of and the gang goes on, because it still
  // finishes steps; else empty.
  std::string contact_lost;
  // The cause if something broke: the first one that is not the echo of another.
  std::optional<cluster::FailureRecord> failure;
  std::string store_address;
  std::string report_path;
  std::optional<cluster::JobProgress> progress;
  // What preparation waits for; empty if nothing says.
  std::string waits_for;
};

// Pure. `members` are the workers of the attempt in the order of their ranks.
GangVerdict Judge(const cluster::AttemptRecord& attempt, const std::vector<GangMember>& members,
                  const CoreOptions& options, absl::Time now);

// Workers of an attempt with the ranks that each holds, in the order of ranks.
std::vector<GangMember> MembersOf(const cluster::AttemptRecord& attempt);

// One line for people, for example `rank 1 on w2: killed by signal 9`.
std::string Describe(const cluster::FailureRecord& failure);

// FailureRecord::reason where an operator stopped the agent of a worker.
inline constexpr char kWorkerStopped[] = "WORKER_STOPPED";

// Whether the attempt was asked to end, so that ranks which end are no failure.
bool IsEnding(const cluster::AttemptRecord& attempt);

// Whether `failure` only says that a peer went away.
bool IsEcho(const cluster::FailureRecord& failure);

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_GANG_H_
