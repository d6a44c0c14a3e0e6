#ifndef TESTS_SERVER_COORDINATOR_PROCESS_H_
#define TESTS_SERVER_COORDINATOR_PROCESS_H_

#include <sys/types.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace g2ll::testing {

// The real program g2ll-coordinator on ports that the system picks. It dies with the
// process of the test.
class CoordinatorProcess {
 public:
  // Starts it on `directory`/data and `directory`/storage, and returns when it listens.
  explicit CoordinatorProcess(const std::string& directory);
  // Kills it if it still runs.
  ~CoordinatorProcess();
  CoordinatorProcess(const CoordinatorProcess&) = delete;
  CoordinatorProcess& operator=(const CoordinatorProcess&) = delete;

  // host:port; empty if it did not start.
  const std::string& address() const { return address_; }
  const std::string& http_address() const { return http_address_; }

  // Asks it to stop; its exit code, or -1 if a signal ended it.
  int Stop();

  // Everything that it logged so far. Complete after Stop.
  std::vector<std::string> lines() const;

  // Resident memory now, and the most since ForgetPeak, in bytes.
  int64_t ResidentBytes() const { return StatusBytes("VmRSS:"); }
  int64_t PeakBytes() const { return StatusBytes("VmHWM:"); }
  void ForgetPeak() const;

 private:
  void Read(int file);
  int64_t StatusBytes(const std::string& key) const;

  pid_t pid_ = -1;
  std::string address_;
  std::string http_address_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
  bool ended_ = false;
  std::jthread reader_;
};

}  // namespace g2ll::testing

#endif  // TESTS_SERVER_COORDINATOR_PROCESS_H_
