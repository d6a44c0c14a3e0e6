// Speed and scale of the control plane: the real coordinator under simulated workers,
// users and followers on loopback. `control_plane_bench PART...` measures, --smallest
// shows in seconds that the measurements work, --help lists the rest.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "tests/bench/control_plane/bench.h"
#include "tests/bench/control_plane/follower_part.h"

namespace g2ll::bench {
namespace {

struct Part {
  const char* name;
  absl::Status (*measure)(const Scale&, Report&);
};

constexpr Part kParts[] = {
    {"idle", MeasureIdle},          {"cycle", MeasureCycle},   {"gangs", MeasureGangs},
    {"submit", MeasureSubmissions}, {"points", MeasurePoints}, {"followers", MeasureFollowers},
    {"restart", MeasureRestart},
};

std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("model name")) {
      return line.substr(line.find(':') + 2);
    }
  }
  return "unknown processor";
}

void PrintHeader(int argc, char** argv) {
  std::printf("%s, %u cores, %s\n`", ProcessorName().c_str(), std::thread::hardware_concurrency(),
              absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone()).c_str());
  for (int i = 0; i < argc; ++i) {
    std::printf("%s%s", i == 0 ? "" : " ",
                i == 0 ? std::filesystem::path(argv[0]).filename().c_str() : argv[i]);
  }
  std::printf("`\n\n| Part | Figure | Value | Wanted |\n|---|---|---|---|\n");
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
  if (argc == 6 && std::string(argv[1]) == kFollowMode) {
    return FollowUntilKilled(argv[2], argv[3], std::atoi(argv[4]), std::atoi(argv[5]));
  }
  CLI::App app{"Measures the control plane with simulated workers on loopback."};
  std::vector<std::string> wanted;
  Scale scale;
  bool smallest = false;
  double seconds = absl::ToDoubleSeconds(scale.time);
  std::string csv_dir;
  std::vector<std::string> names;
  for (const Part& part : kParts) {
    names.emplace_back(part.name);
  }
  app.add_option("parts", wanted, "What to measure; everything by default")
      ->check(CLI::IsMember(names));
  app.add_flag("--smallest", smallest, "Small counts and a second each");
  app.add_option("--workers", scale.workers, "Connected workers")->capture_default_str();
  app.add_option("--pending", scale.pending, "Waiting jobs")->capture_default_str();
  app.add_option("--gangs", scale.gangs, "Gangs of 4")->capture_default_str();
  app.add_option("--submissions", scale.submissions, "Jobs to submit")->capture_default_str();
  app.add_option("--points", scale.points_per_second, "Points a second")->capture_default_str();
  app.add_option("--followers", scale.followers, "Followers of one job")->capture_default_str();
  app.add_option("--stored-jobs", scale.stored_jobs, "Jobs before a restart")
      ->capture_default_str();
  app.add_option("--stored-points", scale.stored_points, "Points before a restart")
      ->capture_default_str();
  app.add_option("--seconds", seconds, "Time under each fixed load")->capture_default_str();
  app.add_option("--csv", csv_dir, "Folder for raw samples")->check(CLI::ExistingDirectory);
  CLI11_PARSE(app, argc, argv);
  scale.time = absl::Seconds(seconds);
  if (smallest) {
    scale = Scale::Smallest();
  }

  PrintHeader(argc, argv);
  Report report(csv_dir);
  int failed = 0;
  for (const Part& part : kParts) {
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), part.name) == wanted.end()) {
      continue;
    }
    report.Begin(part.name);
    const absl::Status status = part.measure(scale, report);
    if (!status.ok()) {
      std::fprintf(stderr, "%s: %s\n", part.name, status.ToString().c_str());
      ++failed;
    }
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace g2ll::bench

int main(int argc, char** argv) { return g2ll::bench::Main(argc, argv); }
