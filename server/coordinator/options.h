#ifndef SERVER_COORDINATOR_OPTIONS_H_
#define SERVER_COORDINATOR_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/coordinator/retention.h"
#include "server/scheduler/plan.h"
#include "server/scheduler/snapshot.h"

namespace g2ll::coordinator {

// Times and limits of the control plane.
struct CoreOptions {
  // How long a worker may commit without hearing from the coordinator; from then
  // on it gets no new work.
  absl::Duration lease = absl::Seconds(15);
  // Silence after which a worker's attempts are given to others.
  absl::Duration lost_after = absl::Seconds(20);
  // The same for an attempt that shows that all its ranks still train.
  absl::Duration contact_limit = absl::Minutes(10);
  // How long a worker whose session broke may take to come back before it is given up
  // together with a gang of which all others have ended.
  absl::Duration reconnect_grace = absl::Seconds(3);
  // How often both sides of a session speak.
  absl::Duration heartbeat_interval = absl::Seconds(2);
  // Workers speak less often where all of them together would report more often than
  // this, but at least three times within a lease.
  absl::Duration report_spacing = absl::Milliseconds(10);
  // After a start nobody is lost before this much time has passed.
  absl::Duration recovery_window = absl::Seconds(25);
  // How long CreateJob waits for a worker to look at the data.
  absl::Duration create_check_timeout = absl::Seconds(20);
  // How long a later check may take before another worker is asked.
  absl::Duration check_timeout = absl::Minutes(10);
  // Limits of the two steps of a start.
  absl::Duration prepare_limit = absl::Minutes(10);
  absl::Duration rendezvous_limit = absl::Minutes(5);
  // Wait before the second restart; doubles up to the longest.
  absl::Duration first_backoff = absl::Seconds(5);
  absl::Duration longest_backoff = absl::Minutes(5);
  // Names of metrics of one job; points of further ones are not stored.
  int64_t max_metric_series = 256;
  // Deletions that a watcher of jobs can still learn of later.
  int64_t max_tombstones = 10000;
  // Waiting jobs of one project.
  int64_t max_pending_jobs = 1000;
  // Content of the token file of the storage root.
  std::string storage_token;
  scheduler::SchedulingPolicy scheduling;
  RetentionPolicy retention;
  // Measures scheduling cycles, which take at most half of the time.
  std::function<absl::Time()> cycle_clock = absl::Now;
};

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_OPTIONS_H_
