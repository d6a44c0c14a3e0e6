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
  // It is lost, and with it everything that ran there.
  bool lost = false;
};

// What the reports of all members together say.
struct GangVerdict {
  bool all_prepared = false;
  bool all_training = false;
  // Nothing of the attempt runs anywhere.
  bool all_over = false;
  // Every rank ended by itself with code 0.
  bool all_succeeded = false;
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

// Whether `failure` only says that a peer went away.
bool IsEcho(const cluster::FailureRecord& failure);

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_GANG_H_
