#ifndef TESTS_TRAIN_GANG_H_
#define TESTS_TRAIN_GANG_H_

#include <functional>
#include <string>
#include <vector>

#include "worker/dist/collective.h"

namespace g2ll::test {

// How one rank's process ended and what it had to say.
struct RankResult {
  int exit_code = -1;
  int signal = 0;
  std::string output;  // the body's result, or `CollectiveError: ...`
};

// Runs `body` once in each of `world_size` forked processes that are joined by
// Gloo over loopback, and a store in one more. The caller must not have used
// tensors before in more than one thread.
std::vector<RankResult> RunGang(int world_size,
                                const std::function<std::string(dist::Collective&)>& body);

}  // namespace g2ll::test

#endif  // TESTS_TRAIN_GANG_H_
