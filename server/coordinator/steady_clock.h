#ifndef SERVER_COORDINATOR_STEADY_CLOCK_H_
#define SERVER_COORDINATOR_STEADY_CLOCK_H_

#include "absl/time/time.h"

namespace g2ll::coordinator {

// Time of day that never jumps, so that neither leases nor limits notice when somebody
// sets the host's clock.
//
// It starts as the wall clock says and then goes on with the monotonic clock. A wall
// clock that was set since is approached by at most 1 s in 100 s: far less than the
// margins of a lease, and enough for leap seconds and small corrections. A clock that
// was far off when the process started needs a restart to be believed; a warning says
// so. Not thread safe.
class SteadyClock {
 public:
  // Reads both clocks of the host.
  absl::Time Now();

  // The same with given readings, taken at the same moment. `monotonic` counts from any
  // start and MUST not fall. The result does not fall either.
  absl::Time At(absl::Time wall, absl::Duration monotonic);

 private:
  bool started_ = false;
  absl::Time time_;
  absl::Duration monotonic_;
  // The wall clock was ahead or behind by more than a minute at the last reading.
  bool far_off_ = false;
};

}  // namespace g2ll::coordinator

#endif  // SERVER_COORDINATOR_STEADY_CLOCK_H_
