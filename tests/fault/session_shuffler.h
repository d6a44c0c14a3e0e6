#ifndef TESTS_FAULT_SESSION_SHUFFLER_H_
#define TESTS_FAULT_SESSION_SHUFFLER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "g2ll/v1/worker.grpc.pb.h"

namespace grpc {
class Server;
}  // namespace grpc

namespace g2ll::fault {

// What is done to the control messages of a session, both ways.
struct Shuffling {
  uint64_t seed = 0;
  // Chance that a message is sent a second time, with a wait of its own.
  double repeat = 0;
  // Every message waits for up to this long, each for itself, so that they overtake
  // each other.
  absl::Duration most_delay;
};

// Counts of one shuffler.
struct ShuffleCounts {
  std::atomic<int64_t> messages = 0;
  std::atomic<int64_t> repeated = 0;
  // Sent after one that had come later.
  std::atomic<int64_t> overtaken = 0;
};

// A coordinator to workers and a worker to the coordinator: it passes the calls of
// WorkerService on, and repeats, delays and reorders the messages of sessions. Telemetry
// and commits go through untouched. Thread safe.
class SessionShuffler {
 public:
  // Listens on a port of its own on loopback.
  SessionShuffler(const std::string& coordinator, const Shuffling& shuffling);
  // Ends all calls.
  ~SessionShuffler();
  SessionShuffler(const SessionShuffler&) = delete;
  SessionShuffler& operator=(const SessionShuffler&) = delete;

  const std::string& address() const { return address_; }
  const ShuffleCounts& counts() const { return counts_; }

 private:
  ShuffleCounts counts_;
  std::unique_ptr<v1::WorkerService::Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace g2ll::fault

#endif  // TESTS_FAULT_SESSION_SHUFFLER_H_
