#ifndef TESTS_FAULT_OBSERVER_H_
#define TESTS_FAULT_OBSERVER_H_

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/sim/job_client.h"

namespace g2ll::fault {

// Whether a call that failed so may be tried again: the coordinator is away.
bool MayRetry(const absl::Status& status);

// Calls until the answer is not that the coordinator is away.
template <typename Result>
Result Persist(const std::function<Result()>& call, absl::Duration limit = absl::Minutes(1)) {
  const absl::Time deadline = absl::Now() + limit;
  while (true) {
    Result result = call();
    absl::Status status;
    if constexpr (std::is_same_v<Result, absl::Status>) {
      status = result;
    } else {
      status = result.status();
    }
    if (!MayRetry(status) || absl::Now() >= deadline) {
      return result;
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
}

// Creates a job until it is acknowledged; every try has the same request id.
absl::StatusOr<v1::Job> CreateSurely(const sim::JobClient& client, v1::CreateJobRequest request);

// What was seen of a cluster at its end. Equal for two runs of the same script if the
// faults in one of them had no effect.
struct Outcome {
  // By name of the job: state, number of attempts, steps of its checkpoints.
  std::map<std::string, std::string> jobs;
  // By name: every point as `attempt step name value`, in the order of their numbers.
  std::map<std::string, std::vector<std::string>> points;
  // By name: every log line.
  std::map<std::string, std::vector<std::string>> lines;
};

// Reads everything back and checks what holds in any run: numbers without a gap, moves
// that the state machine allows, no name twice, checkpoints that load. What does not hold
// is appended to `faults`, one line each.
Outcome Observe(const sim::JobClient& client, const std::string& storage_root,
                std::vector<std::string>* faults);

// Lines for what a run lost, has twice or has otherwise than the undisturbed one.
void Compare(const Outcome& expected, const Outcome& seen, std::vector<std::string>* faults);

// Faults that hold `text`.
int CountFaults(const std::vector<std::string>& faults, const std::string& text);

// Files that a stopped coordinator must not leave, relative to `directory`.
std::vector<std::string> LeftOver(const std::string& directory);

// Follows the metrics of a job to its end across restarts of the coordinator, resuming
// behind the last point. Used by one thread, but for the thread that it has.
class Follower {
 public:
  Follower(const sim::JobClient* client, std::string job);

  // Waits for the end. Points as in Outcome; what was wrong is appended to `faults`.
  std::vector<std::string> Finish(std::vector<std::string>* faults);

 private:
  void Follow();
  bool ReadSome();

  const sim::JobClient* const client_;
  const std::string job_;
  std::vector<std::string> points_;
  std::vector<std::string> faults_;
  int64_t last_seq_ = 0;
  std::jthread thread_;
};

}  // namespace g2ll::fault

#endif  // TESTS_FAULT_OBSERVER_H_
