#ifndef TESTS_FAULT_RELAY_H_
#define TESTS_FAULT_RELAY_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace g2ll::fault {

// Passes TCP connections on loopback on to another address, well or badly. Thread safe.
class Relay {
 public:
  enum class Mode {
    // Everything goes on at once.
    kPass,
    // Every piece waits for `delay`.
    kDelay,
    // Nothing goes on, and what arrives is kept: a path that drops packets.
    kStall,
  };

  // `target` is an IPv4 host:port. Ends the program if it cannot listen.
  explicit Relay(const std::string& target);
  // Cuts all connections.
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Where to connect to.
  const std::string& address() const { return address_; }

  void SetMode(Mode mode, absl::Duration delay = absl::ZeroDuration());
  // Resets all connections there are.
  void CutAll();
  // Ends one direction of all connections there are: the target hears the end of what
  // the clients sent, and may still answer.
  void HalfCloseAll();
  // Bytes that were passed on so far, both ways together.
  int64_t bytes() const;
  // Connections that were made so far.
  int64_t connections() const;

 private:
  // Bytes on their way from one socket to the other.
  struct Direction {
    struct Piece {
      absl::Time due;
      std::string bytes;
    };
    std::deque<Piece> pieces;
    size_t size = 0;
    // No more comes from the source.
    bool source_ended = false;
    // The sink was told so.
    bool sink_ended = false;
  };
  struct Connection {
    int client = -1;
    int server = -1;
    Direction up;
    Direction down;
    bool broken = false;
  };

  void Serve() ABSL_LOCKS_EXCLUDED(mutex_);
  void Accept() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Take(int source, Connection& connection, Direction& direction)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Pass(int sink, Connection& connection, Direction& direction, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(Connection& connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Wakes the thread.
  void Wake() const;

  const std::string target_;
  std::string address_;
  int listener_ = -1;
  int wake_[2] = {-1, -1};

  mutable absl::Mutex mutex_;
  std::deque<std::unique_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  Mode mode_ ABSL_GUARDED_BY(mutex_) = Mode::kPass;
  absl::Duration delay_ ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t made_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace g2ll::fault

#endif  // TESTS_FAULT_RELAY_H_
