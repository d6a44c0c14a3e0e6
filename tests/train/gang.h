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

// Runs `body` once in each of `world_size` forked processes, given the rank and
// the port of a rendezvous store on loopback, which has a process too. The caller
// must have used no tensors in more than one thread before.
std::vector<RankResult> RunProcesses(int world_size,
                                     const std::function<std::string(int rank, int port)>& body);

// The same with the ranks joined by Gloo. Runs `body` once in each of
// `world_size` processes.
std::vector<RankResult> RunGang(int world_size,
                                const std::function<std::string(dist::Collective&)>& body);

}  // namespace g2ll::test

#endif  // TESTS_TRAIN_GANG_H_
