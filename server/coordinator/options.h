#ifndef SERVER_COORDINATOR_OPTIONS_H_
#define SERVER_COORDINATOR_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "server/scheduler/plan.h"

namespace g2ll::coordinator {

// Times and limits of the control plane.
struct CoreOptions {
  // How long a worker may commit without hearing from the coordinator; from then
  // on it gets no new work.
  absl::Duration lease = absl::Seconds(15);
  // Silence after which a worker's attempts are given to others.
  absl::Duration lost_after = absl::Seconds(20);
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
  // A scheduling cycle that takes so long is followed by a pause of three times its
  // length; infinite: cycles are never held back.
  absl::Duration long_cycle = absl::InfiniteDuration();
  // Waiting jobs of one project.
  int64_t max_pending_jobs = 1000;
  // Content of the token file of the storage root.
  std::string storage_token;
  scheduler::SchedulingPolicy scheduling;
};

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_OPTIONS_H_
