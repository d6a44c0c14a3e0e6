// Submissions, metric points and a restart.
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/status_macros.h"
#include "tests/bench/control_plane/bench.h"
#include "tests/bench/control_plane/submitter.h"

namespace g2ll::bench {
namespace {

constexpr int kConnections = 4;
constexpr int64_t kOpenCalls = 128;
constexpr absl::Duration kLimit = absl::Minutes(10);
constexpr char kStored[] = "g2ll_metric_points_stored_total";
constexpr char kRunning[] = "g2ll_jobs{state=\"RUNNING\"}";

// Reads every point of every job back. Error: one is missing, twice there or wrong.
absl::Status CheckPoints(const Bench& bench, int64_t first, int64_t jobs, int32_t per_step,
                         int64_t wanted) {
  int64_t found = 0;
  for (int64_t i = first; i < first + jobs; ++i) {
    const std::string name = RequestName(i);
    G2LL_ASSIGN_OR_RETURN(const std::vector<v1::MetricPoint> points,
                          bench.client().ReadMetrics(name));
    G2LL_RETURN_IF_ERROR(
        Expect(sim::CountGaps(points) == 0, absl::StrCat("the points of ", name, " have gaps")));
    for (size_t k = 0; k < points.size(); ++k) {
      const auto index = static_cast<int32_t>(k % static_cast<size_t>(per_step));
      const bool right = points[k].name() == sim::PointName(index) &&
                         points[k].value() == sim::PointValue(index, points[k].step());
      G2LL_RETURN_IF_ERROR(Expect(right, absl::StrCat("point ", k + 1, " of ", name, " is wrong")));
    }
    found += static_cast<int64_t>(points.size());
  }
  return Expect(found == wanted, absl::StrCat(found, " points are stored, ", wanted, " were sent"));
}

// Submits jobs that hold and waits until all run.
absl::Status RunJobs(Bench& bench, int64_t first, int64_t jobs) {
  Submitter submitter(bench.coordinator().address(), kConnections);
  G2LL_RETURN_IF_ERROR(FirstError(submitter.Flood(first, jobs, kOpenCalls)));
  return bench.WaitForMetric(kRunning, static_cast<double>(jobs), kLimit);
}

}  // namespace

absl::Status MeasureSubmissions(const Scale& scale, Report& report) {
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<Bench> bench, Bench::Start());
  // One worker answers the data checks; its slot is taken by the first job.
  G2LL_RETURN_IF_ERROR(bench->StartFleet(1, 1, {.hold = true}));
  Submitter submitter(bench->coordinator().address(), kConnections);
  const auto steady = static_cast<int64_t>(absl::ToDoubleSeconds(scale.time) * 200);
  std::vector<Submitter::Result> results = submitter.Steady(0, steady, 200);
  G2LL_RETURN_IF_ERROR(FirstError(results));
  report.AddLatencies("durable submission at 200/s", LatenciesOf(results), "<= 50");

  // A tenth is sent twice: the second answer names the same job.
  const absl::Time start = absl::Now();
  for (int64_t i = steady; i < steady + scale.submissions; ++i) {
    submitter.Send(Request(i), absl::Now(), kOpenCalls);
    if (i % 10 == 0) {
      submitter.Send(Request(i), absl::Now(), kOpenCalls);
    }
  }
  results = submitter.TakeResults();
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  G2LL_RETURN_IF_ERROR(FirstError(results));
  report.Add("durable submissions, 128 open", static_cast<double>(results.size()) / seconds, "/s",
             ">= 1000");
  report.AddLatencies("durable submission, 128 open", LatenciesOf(results));
  std::set<std::string> uids;
  for (const Submitter::Result& result : results) {
    uids.insert(result.job_uid);
  }
  G2LL_RETURN_IF_ERROR(
      Expect(static_cast<int64_t>(uids.size()) == scale.submissions,
             absl::StrCat(uids.size(), " jobs for ", scale.submissions, " submissions")));
  const auto wanted = static_cast<double>(steady + scale.submissions - 1);
  return bench->WaitForMetric("g2ll_jobs{state=\"PENDING\"}", wanted, kLimit);
}

absl::Status MeasurePoints(const Scale& scale, Report& report) {
  constexpr int32_t kPerStep = 5;
  const int jobs = std::max(1, std::min(100, scale.workers));
  const double steps_per_second = static_cast<double>(scale.points_per_second) / jobs / kPerStep;
  sim::AttemptScript script;
  // The load lasts longer than what is measured of it.
  script.steps = static_cast<int64_t>(2 * absl::ToDoubleSeconds(scale.time) * steps_per_second);
  script.step_time = absl::Seconds(1 / steps_per_second);
  script.points_per_step = kPerStep;
  script.report_every = absl::Milliseconds(100);
  script.hold = true;
  {
    G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<Bench> bench, Bench::Start());
    G2LL_RETURN_IF_ERROR(bench->StartFleet(jobs, 1, script));
    G2LL_RETURN_IF_ERROR(RunJobs(*bench, 0, jobs));
    const int64_t wanted = jobs * script.steps * kPerStep;
    const double before = bench->Metric(kStored);
    const absl::Time start = absl::Now();
    const double cores = bench->CpuCores(scale.time);
    const double rate =
        (bench->Metric(kStored) - before) / absl::ToDoubleSeconds(absl::Now() - start);
    report.Add(absl::StrCat("points stored of ", scale.points_per_second, "/s offered"), rate, "/s",
               absl::StrCat(scale.points_per_second));
    report.Add("CPU at that rate", 100 * cores, "% of a core");
    G2LL_RETURN_IF_ERROR(bench->WaitForMetric(kStored, static_cast<double>(wanted), kLimit));
    G2LL_RETURN_IF_ERROR(CheckPoints(*bench, 0, jobs, kPerStep, wanted));
    report.Add("points lost", 0, absl::StrCat("of ", wanted), "0");
  }
  // As fast as they are stored.
  script.step_time = absl::ZeroDuration();
  script.report_every = absl::ZeroDuration();
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<Bench> bench, Bench::Start());
  G2LL_RETURN_IF_ERROR(bench->StartFleet(jobs, 1, script));
  const absl::Time start = absl::Now();
  G2LL_RETURN_IF_ERROR(RunJobs(*bench, 0, jobs));
  const int64_t wanted = jobs * script.steps * kPerStep;
  G2LL_RETURN_IF_ERROR(bench->WaitForMetric(kStored, static_cast<double>(wanted), kLimit));
  report.Add("points stored as fast as they go",
             static_cast<double>(wanted) / absl::ToDoubleSeconds(absl::Now() - start), "/s");
  return CheckPoints(*bench, 0, jobs, kPerStep, wanted);
}

absl::Status MeasureRestart(const Scale& scale, Report& report) {
  constexpr int32_t kPerStep = 5;
  const int writers = std::max(1, std::min(100, scale.workers));
  sim::AttemptScript script;
  script.steps = scale.stored_points / writers / kPerStep;
  script.points_per_step = kPerStep;
  script.hold = true;
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<Bench> bench, Bench::Start());
  G2LL_RETURN_IF_ERROR(bench->StartFleet(writers, 1, script));
  G2LL_RETURN_IF_ERROR(RunJobs(*bench, 0, writers));
  const int64_t points = writers * script.steps * kPerStep;
  G2LL_RETURN_IF_ERROR(bench->WaitForMetric(kStored, static_cast<double>(points), kLimit));
  Submitter submitter(bench->coordinator().address(), kConnections);
  G2LL_RETURN_IF_ERROR(
      FirstError(submitter.Flood(writers, scale.stored_jobs - writers, kOpenCalls)));

  const auto start_again = [&](const std::string& figure) -> absl::Status {
    const absl::Time start = absl::Now();
    G2LL_RETURN_IF_ERROR(bench->coordinator().Restart());
    G2LL_RETURN_IF_ERROR(bench->client().WaitUntilServing(kLimit));
    G2LL_RETURN_IF_ERROR(bench->client().Get(RequestName(scale.stored_jobs - 1)).status());
    report.Add(figure, absl::ToDoubleSeconds(absl::Now() - start), "s", "< 2");
    const double running = bench->Metric(kRunning);
    return Expect(running == writers, absl::StrCat(running, " jobs run and not ", writers));
  };
  report.Add("jobs stored", scale.stored_jobs, "");
  report.Add("points stored", static_cast<double>(points), "");
  bench->coordinator().Kill();
  G2LL_RETURN_IF_ERROR(start_again("SIGKILL, then from start to the first answer"));
  G2LL_RETURN_IF_ERROR(Expect(bench->fleet().WaitFor([&](const sim::FleetCounts& counts) {
    return counts.connected == writers;
  }),
                              "not all workers have come back"));
  const absl::StatusOr<int> code = bench->coordinator().Stop(absl::Seconds(30));
  G2LL_RETURN_IF_ERROR(code.status());
  G2LL_RETURN_IF_ERROR(Expect(*code == 0, absl::StrCat("SIGTERM gave exit code ", *code)));
  G2LL_RETURN_IF_ERROR(start_again("SIGTERM, then from start to the first answer"));
  report.Add("memory", static_cast<double>(bench->coordinator().usage().rss_bytes) / (1 << 20),
             "MiB");
  return CheckPoints(*bench, 0, writers, kPerStep, points);
}

}  // namespace g2ll::bench
