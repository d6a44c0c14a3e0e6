#ifndef TESTS_FAULT_CHAIN_SCRIPT_H_
#define TESTS_FAULT_CHAIN_SCRIPT_H_

#include <string>
#include <vector>

#include "tests/fault/keeper.h"
#include "tests/fault/observer.h"

namespace g2ll::fault {

// What a run of the script came to.
struct ScriptRun {
  Outcome outcome;
  // Everything that is wrong, one line each; empty if nothing is.
  std::vector<std::string> faults;
  int restarts = 0;
};

// Runs a fixed piece of work against a coordinator of its own in `directory`: a
// pre-training on two workers, a fine-tuning that is paused, resumed, put back and changed
// while it waits for it, an evaluation of that, and a job that loses a rank, is placed
// again, cancelled and deleted, with a follower of the metrics that resumes. Calls are repeated
// until they are answered, and a coordinator that ends is started again. At the end it is stopped
// and what it left is looked at. `failpoints` are those of the first start, the second one and so
// on.
ScriptRun RunChainScript(const std::string& directory, std::deque<std::string> failpoints);

}  // namespace g2ll::fault

#endif  // TESTS_FAULT_CHAIN_SCRIPT_H_
