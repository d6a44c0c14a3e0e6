#ifndef TESTS_SIM_COORDINATOR_PROCESS_H_
#define TESTS_SIM_COORDINATOR_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace g2ll::sim {

// The real g2ll-coordinator as a child process. It is killed with the thread that
// started it, so start it from a thread that lives as long. Used by one thread.
class CoordinatorProcess {
 public:
  struct Options {
    // Holds data/, storage/ and coordinator.log; made if it is missing.
    std::string directory;
    // Keys of the settings file, for example {"lease", "5s"}.
    std::map<std::string, std::string> settings = {};
    // Added to this program's environment.
    std::map<std::string, std::string> environment = {};
    // Path of the program; the one that was built with this library by default.
    std::string program = "";
  };
  // What the process uses.
  struct Usage {
    int64_t rss_bytes = 0;
    int64_t peak_rss_bytes = 0;
    // User and system time since its start.
    absl::Duration cpu_time;
    int64_t threads = 0;
    int64_t open_files = 0;
  };

  // Starts the program on ports that the system picks and waits until it listens.
  // Error: it ended or did not listen within a minute; has the end of its log.
  static absl::StatusOr<std::unique_ptr<CoordinatorProcess>> Start(Options options);
  // Kills it if it runs.
  ~CoordinatorProcess();
  CoordinatorProcess(const CoordinatorProcess&) = delete;
  CoordinatorProcess& operator=(const CoordinatorProcess&) = delete;

  // Starts it again on the same directory and ports, once it has ended. `environment`
  // replaces that of the options where given.
  absl::Status Restart(
      const std::optional<std::map<std::string, std::string>>& environment = std::nullopt);
  // SIGKILL, and waits for the end. Does nothing if it has ended.
  void Kill();
  // SIGTERM, and waits. Returns the exit code, or 128 + signal; DeadlineExceeded if it
  // still runs after `limit`.
  absl::StatusOr<int> Stop(absl::Duration limit);
  // Sends a signal, for example SIGSTOP.
  void Signal(int signal) const;
  // Waits for the end, as Stop does.
  absl::StatusOr<int> WaitForExit(absl::Duration limit);
  bool running();

  pid_t pid() const { return pid_; }
  const std::string& address() const { return address_; }
  const std::string& http_address() const { return http_address_; }
  std::string data_dir() const { return options_.directory + "/data"; }
  std::string storage_root() const { return options_.directory + "/storage"; }
  std::string log_path() const { return options_.directory + "/coordinator.log"; }

  Usage usage() const;
  // Body of GET http://http_address/`path`, for example "/metrics".
  absl::StatusOr<std::string> HttpGet(const std::string& path) const;

 private:
  explicit CoordinatorProcess(Options options);

  absl::Status Spawn();
  absl::Status WaitUntilListening();
  absl::Status EndedEarly() const;
  std::vector<std::string> MakeArguments() const;

  Options options_;
  pid_t pid_ = 0;
  std::optional<int> exit_code_;
  std::string address_;
  std::string http_address_;
};

// Value of a series in Prometheus text, for example `g2ll_jobs{state="PENDING"}`;
// NaN if it is not there.
double MetricValue(const std::string& text, const std::string& series);

// Upper bound of the bucket that holds quantile `q` in [0, 1] of what a histogram
// counted between two readings; infinite above the last bucket, NaN if nothing.
double HistogramQuantile(const std::string& before, const std::string& after,
                         const std::string& name, double q);

}  // namespace g2ll::sim

#endif  // TESTS_SIM_COORDINATOR_PROCESS_H_
