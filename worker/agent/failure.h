#ifndef WORKER_AGENT_FAILURE_H_
#define WORKER_AGENT_FAILURE_H_

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "g2ll/trainer/v1/trainer.pb.h"
#include "g2ll/v1/job.pb.h"
#include "worker/agent/process_spawner.h"

namespace g2ll::agent {

// Exit codes by which a trainer says how it ended; the same numbers as in
// worker/trainer_main.cc.
enum class TrainerExit {
  kDone = 0,
  kPreempted = 75,
  kFenced = 76,
  kConfig = 77,
  kData = 78,
  kNonFinite = 79,
  kOutOfMemory = 80,
  kCollective = 81,
};

// What is known of a rank that has ended.
struct RankEnd {
  int rank = 0;
  int pid = 0;
  ExitStatus status;
  std::optional<trainer::v1::Failed> failed;  // what it said itself
  std::deque<std::string> last_lines;         // newest last
  bool out_of_memory = false;                 // the kernel ended a process for want of memory
};

// Whether and how a rank failed; nothing if it ended as it should (done, preempted
// or fenced). What the rank said itself counts before its exit code and that before
// its signal; the last log lines become part of the message where nothing better is
// known.
std::optional<v1::Failure> ClassifyEnd(const RankEnd& end);

// Whether an error text speaks of a device that is broken, for example of an ECC error
// that cannot be corrected, rather than of what the program does with it.
bool IsHardwareFault(std::string_view text);

// `candidate` takes the place of `current`: a lost peer is an echo of another
// rank's failure, so anything else counts before it.
bool IsBetterCause(const v1::Failure& candidate, const v1::Failure& current);

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_FAILURE_H_
