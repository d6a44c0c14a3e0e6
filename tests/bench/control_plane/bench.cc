#include "tests/bench/control_plane/bench.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "proto/common/status_macros.h"

namespace g2ll::bench {
namespace {

// Jobs per project: below the limit of waiting jobs.
constexpr int64_t kJobsPerProject = 500;
constexpr absl::Duration kPoll = absl::Milliseconds(20);
// Of a file of samples; longer series are thinned out evenly.
constexpr size_t kMostRows = 2000;

std::string ProjectOf(int64_t number) { return absl::StrCat("p", number / kJobsPerProject); }

}  // namespace

Scale Scale::Smallest() {
  Scale scale;
  scale.workers = 8;
  scale.pending = 30;
  scale.gangs = 10;
  scale.submissions = 100;
  scale.points_per_second = 2000;
  scale.time = absl::Seconds(1);
  scale.followers = 20;
  scale.stored_jobs = 100;
  scale.stored_points = 5000;
  return scale;
}

void Report::Add(const std::string& figure, double value, const std::string& unit,
                 const std::string& wanted) {
  std::printf("| %s | %s | %.4g %s | %s |\n", part_.c_str(), figure.c_str(), value, unit.c_str(),
              wanted.c_str());
  std::fflush(stdout);
}

void Report::AddLatencies(const std::string& figure, std::vector<absl::Duration> samples,
                          const std::string& wanted) {
  if (!csv_dir_.empty()) {
    const std::string name =
        absl::StrReplaceAll(absl::StrCat(part_, "_", figure), {{" ", "_"}, {"/", "_"}, {",", ""}});
    std::ofstream file(absl::StrCat(csv_dir_, "/", name, ".csv"), std::ios::trunc);
    const size_t stride = samples.size() / kMostRows + 1;
    file << "sample,milliseconds\n";
    for (size_t i = 0; i < samples.size(); i += stride) {
      file << i << "," << absl::ToDoubleMilliseconds(samples[i]) << "\n";
    }
  }
  Add(figure + ", p50", absl::ToDoubleMilliseconds(Quantile(samples, 0.5)), "ms");
  Add(figure + ", p99", absl::ToDoubleMilliseconds(Quantile(samples, 0.99)), "ms", wanted);
  Add(figure + ", largest", absl::ToDoubleMilliseconds(Quantile(samples, 1)), "ms");
}

absl::Duration Quantile(std::vector<absl::Duration> samples, double q) {
  if (samples.empty()) {
    return absl::ZeroDuration();
  }
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(samples.size())));
  const auto nth = samples.begin() + static_cast<ptrdiff_t>(std::max<size_t>(rank, 1) - 1);
  std::nth_element(samples.begin(), nth, samples.end());
  return *nth;
}

absl::StatusOr<std::unique_ptr<Bench>> Bench::Start(
    const std::map<std::string, std::string>& settings) {
  std::unique_ptr<Bench> bench(new Bench);
  std::string path = (std::filesystem::temp_directory_path() / "g2ll-bench-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) {
    return absl::UnavailableError("no temporary directory can be made");
  }
  bench->directory_ = path;
  G2LL_ASSIGN_OR_RETURN(bench->coordinator_,
                        sim::CoordinatorProcess::Start({.directory = path, .settings = settings}));
  bench->client_ = std::make_unique<sim::JobClient>(bench->coordinator_->address());
  return bench;
}

Bench::~Bench() {
  fleet_.reset();
  client_.reset();
  coordinator_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

absl::Status Bench::StartFleet(int workers, int slots, const sim::AttemptScript& script) {
  fleet_ = std::make_unique<sim::Fleet>(
      sim::Fleet::Options{.address = coordinator_->address(),
                          .storage_root = coordinator_->storage_root(),
                          .script = [script](const v1::DesiredAttempt&) { return script; }});
  fleet_->AddMany(workers, "w", slots);
  return Expect(
      fleet_->WaitFor([&](const sim::FleetCounts& counts) { return counts.connected == workers; }),
      absl::StrCat("not all of ", workers, " workers are connected"));
}

std::string Bench::metrics() const { return coordinator_->HttpGet("/metrics").value_or(""); }

double Bench::Metric(const std::string& series) const {
  return sim::MetricValue(metrics(), series);
}

absl::Status Bench::WaitForMetric(const std::string& series, double value,
                                  absl::Duration limit) const {
  const absl::Time deadline = absl::Now() + limit;
  double last = 0;
  while (absl::Now() < deadline) {
    last = Metric(series);
    if (last >= value) {
      return absl::OkStatus();
    }
    absl::SleepFor(kPoll);
  }
  return absl::DeadlineExceededError(absl::StrCat(series, " is ", last, " and not ", value));
}

double Bench::CpuCores(absl::Duration span) {
  const absl::Duration before = coordinator_->usage().cpu_time;
  const absl::Time start = absl::Now();
  absl::SleepFor(span);
  return absl::FDivDuration(coordinator_->usage().cpu_time - before, absl::Now() - start);
}

v1::CreateJobRequest Request(int64_t number, int32_t ranks) {
  v1::CreateJobRequest request = sim::PretrainRequest(absl::StrCat("j", number), ranks);
  request.set_parent("projects/" + ProjectOf(number));
  return request;
}

std::string RequestName(int64_t number) {
  return absl::StrCat("projects/", ProjectOf(number), "/jobs/j", number);
}

absl::Status Expect(bool holds, const std::string& what) {
  return holds ? absl::OkStatus() : absl::InternalError(what);
}

}  // namespace g2ll::bench
