#ifndef TESTS_BENCH_CONTROL_PLANE_BENCH_H_
#define TESTS_BENCH_CONTROL_PLANE_BENCH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/sim/coordinator_process.h"
#include "tests/sim/fleet.h"
#include "tests/sim/job_client.h"

namespace g2ll::bench {

// How large the measurements are. The defaults are the goals of the product; the
// smallest run of them shows in seconds that they work.
struct Scale {
  int workers = 500;
  int pending = 5000;
  int gangs = 1000;
  int submissions = 20000;
  // Points a second, and how long each measurement under a fixed load takes.
  int points_per_second = 20000;
  absl::Duration time = absl::Seconds(15);
  int followers = 1000;
  int stored_jobs = 10000;
  int64_t stored_points = 1000000;

  static Scale Smallest();
};

// Figures of a run, printed as they come.
class Report {
 public:
  // `csv_dir`: where raw samples go, one file per series; empty: nowhere.
  explicit Report(std::string csv_dir) : csv_dir_(std::move(csv_dir)) {}

  void Begin(const std::string& part) { part_ = part; }
  // `wanted`: the goal in words, empty if there is none.
  void Add(const std::string& figure, double value, const std::string& unit,
           const std::string& wanted = "");
  // Adds p50, p99 and the largest of a series of durations, and keeps samples as CSV.
  void AddLatencies(const std::string& figure, std::vector<absl::Duration> samples,
                    const std::string& wanted = "");

 private:
  const std::string csv_dir_;
  std::string part_;
};

// Smallest sample that a share `q` in [0, 1] of the samples does not exceed.
absl::Duration Quantile(std::vector<absl::Duration> samples, double q);

// A coordinator on a directory of its own that goes with the object, and a client.
class Bench {
 public:
  static absl::StatusOr<std::unique_ptr<Bench>> Start(
      const std::map<std::string, std::string>& settings = {});
  ~Bench();

  sim::CoordinatorProcess& coordinator() { return *coordinator_; }
  const sim::JobClient& client() const { return *client_; }
  // Starts simulated workers and waits until all are connected.
  absl::Status StartFleet(int workers, int slots, const sim::AttemptScript& script);
  sim::Fleet& fleet() { return *fleet_; }
  std::string metrics() const;
  double Metric(const std::string& series) const;
  // Waits until a series has a value of at least `value`.
  absl::Status WaitForMetric(const std::string& series, double value, absl::Duration limit) const;
  // CPU time of the coordinator over a span of time, in cores.
  double CpuCores(absl::Duration span);

 private:
  Bench() = default;

  std::string directory_;
  std::unique_ptr<sim::CoordinatorProcess> coordinator_;
  std::unique_ptr<sim::JobClient> client_;
  std::unique_ptr<sim::Fleet> fleet_;
};

// A valid request of a job that one rank runs, in one of many projects, so that no
// project is full.
v1::CreateJobRequest Request(int64_t number, int32_t ranks = 1);
// Its full name.
std::string RequestName(int64_t number);

// The measurements. Error: a count or an order is not as promised; times only go into
// the report.
absl::Status MeasureIdle(const Scale& scale, Report& report);
absl::Status MeasureCycle(const Scale& scale, Report& report);
absl::Status MeasureGangs(const Scale& scale, Report& report);
absl::Status MeasureSubmissions(const Scale& scale, Report& report);
absl::Status MeasurePoints(const Scale& scale, Report& report);
absl::Status MeasureFollowers(const Scale& scale, Report& report);
absl::Status MeasureRestart(const Scale& scale, Report& report);

// InternalError with `what` unless `holds`.
absl::Status Expect(bool holds, const std::string& what);

}  // namespace g2ll::bench

#endif  // TESTS_BENCH_CONTROL_PLANE_BENCH_H_
