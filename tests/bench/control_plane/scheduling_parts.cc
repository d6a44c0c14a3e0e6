// Workers, pending jobs, gangs.
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/status_macros.h"
#include "tests/bench/control_plane/bench.h"
#include "tests/bench/control_plane/submitter.h"

namespace g2ll::bench {
namespace {

constexpr int kConnections = 4;
constexpr int64_t kOpenCalls = 64;
constexpr absl::Duration kLimit = absl::Minutes(10);
constexpr int kSlotsPerWorker = 8;
constexpr int kRanks = 4;
constexpr char kSucceeded[] = "g2ll_jobs{state=\"SUCCEEDED\"}";
constexpr char kPending[] = "g2ll_jobs{state=\"PENDING\"}";
constexpr char kRunning[] = "g2ll_jobs{state=\"RUNNING\"}";
constexpr char kCycle[] = "g2ll_scheduler_cycle_seconds";

// Every gang commits one checkpoint, just before it has succeeded.
absl::Status WaitForCommits(Bench& bench, int64_t wanted) {
  return Expect(
      bench.fleet().WaitFor(
          [&](const sim::FleetCounts& counts) { return counts.checkpoints_committed >= wanted; },
          kLimit),
      "not all gangs have ended");
}

double ToMilliseconds(double seconds) { return seconds * 1000; }

}  // namespace

absl::Status MeasureIdle(const Scale& scale, Report& report) {
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<Bench> bench, Bench::Start());
  const absl::Time start = absl::Now();
  G2LL_RETURN_IF_ERROR(bench->StartFleet(scale.workers, 1, {}));
  report.Add(absl::StrCat("time to connect ", scale.workers, " workers"),
             absl::ToDoubleMilliseconds(absl::Now() - start), "ms");
  absl::SleepFor(scale.time / 3);
  const double cores = bench->CpuCores(scale.time);
  report.Add(absl::StrCat("idle CPU with ", scale.workers, " workers"), 100 * cores, "% of a core",
             "< 1");
  report.Add("memory", static_cast<double>(bench->coordinator().usage().rss_bytes) / (1 << 20),
             "MiB");
  const int64_t sessions = bench->fleet().counts().sessions;
  return Expect(sessions == scale.workers,
                absl::StrCat(sessions, " sessions for ", scale.workers, " workers"));
}

absl::Status MeasureCycle(const Scale& scale, Report& report) {
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<Bench> bench, Bench::Start());
  G2LL_RETURN_IF_ERROR(bench->StartFleet(scale.workers, 1, {.hold = true}));
  Submitter submitter(bench->coordinator().address(), kConnections);
  const int64_t jobs = scale.workers + scale.pending;
  G2LL_RETURN_IF_ERROR(FirstError(submitter.Flood(0, jobs, kOpenCalls)));
  G2LL_RETURN_IF_ERROR(bench->WaitForMetric(kRunning, scale.workers, kLimit));
  G2LL_RETURN_IF_ERROR(bench->WaitForMetric(kPending, scale.pending, kLimit));

  const std::string before = bench->metrics();
  const double cores = bench->CpuCores(scale.time);
  const std::string quiet = bench->metrics();
  report.Add("CPU with all slots busy and the queue full", 100 * cores, "% of a core");
  report.Add("cycle without news, p99 at most",
             ToMilliseconds(sim::HistogramQuantile(before, quiet, kCycle, 0.99)), "ms", "<= 50");
  // New jobs make a cycle each.
  const auto count = static_cast<int64_t>(absl::ToDoubleSeconds(scale.time) * 50);
  G2LL_RETURN_IF_ERROR(FirstError(submitter.Steady(jobs, count, 50)));
  const std::string after = bench->metrics();
  const double cycles = sim::MetricValue(after, absl::StrCat(kCycle, "_count")) -
                        sim::MetricValue(quiet, absl::StrCat(kCycle, "_count"));
  const double seconds = sim::MetricValue(after, absl::StrCat(kCycle, "_sum")) -
                         sim::MetricValue(quiet, absl::StrCat(kCycle, "_sum"));
  report.Add("cycles under 50 submissions a second", cycles, "");
  report.Add("cycle, mean", ToMilliseconds(seconds / cycles), "ms");
  report.Add("cycle, p50 at most",
             ToMilliseconds(sim::HistogramQuantile(quiet, after, kCycle, 0.5)), "ms");
  report.Add("cycle, p99 at most",
             ToMilliseconds(sim::HistogramQuantile(quiet, after, kCycle, 0.99)), "ms", "<= 50");
  report.Add("memory", static_cast<double>(bench->coordinator().usage().rss_bytes) / (1 << 20),
             "MiB");
  const auto wanted = static_cast<double>(scale.pending + count);
  G2LL_RETURN_IF_ERROR(bench->WaitForMetric(kPending, wanted, kLimit));
  const double pending = bench->Metric(kPending);
  return Expect(pending == wanted, absl::StrCat(pending, " jobs wait and not ", wanted));
}

absl::Status MeasureGangs(const Scale& scale, Report& report) {
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<Bench> bench, Bench::Start());
  G2LL_RETURN_IF_ERROR(
      bench->StartFleet(std::max(1, scale.workers / 5), kSlotsPerWorker, {.steps = 1}));
  Submitter submitter(bench->coordinator().address(), kConnections);
  // As fast as they go through the whole life of a job.
  absl::Time start = absl::Now();
  G2LL_RETURN_IF_ERROR(FirstError(submitter.Flood(0, scale.gangs, kOpenCalls, kRanks)));
  G2LL_RETURN_IF_ERROR(WaitForCommits(*bench, scale.gangs));
  report.Add("gangs of 4 from submission to success",
             scale.gangs / absl::ToDoubleSeconds(absl::Now() - start), "/s", ">= 100");

  // At the rate that is wanted: the queue must not grow.
  start = absl::Now();
  std::vector<Submitter::Result> results = submitter.Steady(scale.gangs, scale.gangs, 100, kRanks);
  G2LL_RETURN_IF_ERROR(FirstError(results));
  G2LL_RETURN_IF_ERROR(WaitForCommits(*bench, 2 * scale.gangs));
  report.Add("time behind the last of 100 gangs a second until all have succeeded",
             absl::ToDoubleSeconds(absl::Now() - start) - scale.gangs / 100.0, "s");
  report.AddLatencies("submission of a gang at 100/s", LatenciesOf(results));
  G2LL_RETURN_IF_ERROR(bench->WaitForMetric(kSucceeded, 2 * scale.gangs, kLimit));
  std::vector<absl::Duration> waits;
  int64_t attempts = 0;
  for (int64_t i = scale.gangs; i < 2 * scale.gangs; ++i) {
    G2LL_ASSIGN_OR_RETURN(const v1::Job job, bench->client().Get(RequestName(i)));
    G2LL_RETURN_IF_ERROR(Expect(job.state() == v1::Job::SUCCEEDED, job.name() + " has failed"));
    attempts += job.attempts_size();
    const auto& created = job.create_time();
    const auto& placed = job.attempts(0).start_time();
    waits.push_back(absl::Seconds(placed.seconds() - created.seconds()) +
                    absl::Nanoseconds(placed.nanos() - created.nanos()));
    G2LL_RETURN_IF_ERROR(Expect(job.attempts(0).workers_size() == kRanks,
                                job.name() + " was not placed as a whole"));
  }
  report.AddLatencies("wait of a gang for its places at 100/s", std::move(waits));
  return Expect(attempts == scale.gangs,
                absl::StrCat(attempts, " attempts for ", scale.gangs, " gangs"));
}

}  // namespace g2ll::bench
