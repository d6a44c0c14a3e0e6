// A thousand followers of one job, and some among them that hardly read.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/common/status_macros.h"
#include "tests/bench/control_plane/bench.h"
#include "tests/bench/control_plane/follower.h"
#include "tests/bench/control_plane/follower_part.h"

namespace g2ll::bench {
namespace {

constexpr int kPerConnection = 50;
constexpr int32_t kPerStep = 8;
constexpr int kStepsPerSecond = 5;
constexpr absl::Duration kLimit = absl::Minutes(2);

double Mebibytes(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// A program of followers that is stopped for good once it reads: its host has vanished,
// and nobody closes its connections.
class VanishedFollowers {
 public:
  absl::Status Start(const std::string& address, const std::string& job, int count) {
    int ready[2];
    if (pipe(ready) != 0) {
      return absl::UnavailableError("no pipe can be made");
    }
    const std::string number = absl::StrCat(count);
    const std::string ready_fd = absl::StrCat(ready[1]);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      execl("/proc/self/exe", "control_plane_bench", kFollowMode, address.c_str(), job.c_str(),
            number.c_str(), ready_fd.c_str(), nullptr);
      _exit(127);
    }
    close(ready[1]);
    char byte = 0;
    const bool reads = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    if (!reads) {
      return absl::InternalError("the followers that should vanish did not read");
    }
    kill(pid_, SIGSTOP);
    return absl::OkStatus();
  }
  ~VanishedFollowers() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

 private:
  pid_t pid_ = 0;
};

// What one measured span showed.
struct Span {
  std::vector<absl::Duration> lags;
  int64_t rss_bytes = 0;
};

Span MeasureSpan(Bench& bench, Followers& followers, absl::Duration time) {
  followers.TakeLags();
  absl::SleepFor(time);
  return {followers.TakeLags(), bench.coordinator().usage().rss_bytes};
}

}  // namespace

int FollowUntilKilled(const std::string& address, const std::string& job, int count, int ready_fd) {
  Followers followers(address, job, kPerConnection);
  followers.Add(count, Pace::kFast);
  if (!followers.WaitForSeq(1, kLimit) || write(ready_fd, "r", 1) != 1) {
    return 1;
  }
  while (true) {
    pause();
  }
}

absl::Status MeasureFollowers(const Scale& scale, Report& report) {
  // They all come from this host.
  const std::string streams = absl::StrCat(2 * scale.followers + 200);
  G2LL_ASSIGN_OR_RETURN(const std::unique_ptr<Bench> bench,
                        Bench::Start({{"maxStreamsPerClient", streams}}));
  sim::AttemptScript script;
  script.steps = int64_t{1} << 40;
  script.step_time = absl::Seconds(1) / kStepsPerSecond;
  script.points_per_step = kPerStep;
  G2LL_RETURN_IF_ERROR(bench->StartFleet(1, 1, script));
  G2LL_RETURN_IF_ERROR(bench->client().Create(Request(0)).status());
  const std::string job = RequestName(0);
  const int64_t rss_before = bench->coordinator().usage().rss_bytes;

  Followers followers(bench->coordinator().address(), job, kPerConnection);
  followers.Add(scale.followers, Pace::kFast);
  G2LL_RETURN_IF_ERROR(Expect(followers.WaitForSeq(1, kLimit), "not all followers have a point"));
  const absl::Duration cpu_before = bench->coordinator().usage().cpu_time;
  const Span alone = MeasureSpan(*bench, followers, scale.time);
  const absl::Duration cpu = bench->coordinator().usage().cpu_time - cpu_before;
  const std::string who = absl::StrCat(scale.followers, " followers");
  report.AddLatencies(absl::StrCat("lag of ", who), alone.lags, "< 250");
  report.Add(absl::StrCat("memory with ", who), Mebibytes(alone.rss_bytes), "MiB", "<= 512");
  report.Add(absl::StrCat("memory without"), Mebibytes(rss_before), "MiB");
  report.Add(absl::StrCat("CPU with ", who, " of ", kPerStep * kStepsPerSecond, " points/s"),
             100 * absl::FDivDuration(cpu, scale.time), "% of a core");

  // One in a hundred of each kind.
  const int few = std::max(1, scale.followers / 100);
  VanishedFollowers vanished;
  G2LL_RETURN_IF_ERROR(vanished.Start(bench->coordinator().address(), job, few));
  Followers lazy(bench->coordinator().address(), job, 1);
  lazy.Add(few, Pace::kSlow);
  lazy.Add(few, Pace::kStopped);
  absl::SleepFor(scale.time / 3);
  const Span with_lazy = MeasureSpan(*bench, followers, scale.time);
  report.AddLatencies(
      absl::StrCat("lag of ", who, " beside ", few, " slow, ", few, " stopped, ", few, " vanished"),
      with_lazy.lags, "as without them");
  report.Add("memory with them", Mebibytes(with_lazy.rss_bytes), "MiB", "<= 512");

  G2LL_ASSIGN_OR_RETURN(const std::vector<v1::MetricPoint> stored,
                        bench->client().ReadMetrics(job));
  G2LL_RETURN_IF_ERROR(Expect(followers.WaitForSeq(stored.back().seq(), kLimit),
                              "not all followers have the last stored point"));
  report.Add("points received", static_cast<double>(followers.received()), "");
  report.Add("gaps", static_cast<double>(followers.gaps() + lazy.gaps()), "", "0");
  G2LL_RETURN_IF_ERROR(Expect(followers.gaps() + lazy.gaps() == 0, "followers have gaps"));
  G2LL_RETURN_IF_ERROR(Expect(followers.ended() == 0, "streams of fast followers have ended"));
  return Expect(with_lazy.rss_bytes <= int64_t{512} << 20, "the coordinator takes over 512 MiB");
}

}  // namespace g2ll::bench
