#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <ostream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/progress_model.h"

namespace g2ll::cli {
namespace {

constexpr auto kRedrawInterval = std::chrono::milliseconds(200);
// After a job has ended its last points are on their way for a moment.
constexpr auto kLastPointsLimit = std::chrono::seconds(10);

// Shows a job: plain lines as news come, or on a terminal a block that is drawn
// again in place. Thread safe.
class JobView {
 public:
  JobView(const std::string& name, const Environment& env, std::ostream& out, bool live)
      : env_(env), out_(out), live_(live), model_(name) {}

  void OnJob(const v1::Job& job) {
    const std::scoped_lock lock(mutex_);
    Tell(model_.OnJob(job, absl::Now()));
  }
  void OnMetric(const v1::MetricPoint& point) {
    const std::scoped_lock lock(mutex_);
    Tell(model_.OnMetric(point, absl::Now()));
  }
  // Shows or takes away that the server is not reached.
  void SetAway(bool away) {
    const std::scoped_lock lock(mutex_);
    away_ = away;
  }
  void Redraw() {
    const std::scoped_lock lock(mutex_);
    if (!live_) return;
    std::vector<std::string> lines = model_.Block(env_.width, env_.unicode);
    if (away_) lines.push_back(Clip("connection lost, trying again", env_.width));
    Draw(lines);
  }
  // Writes the last state; nothing may follow.
  void End() {
    const std::scoped_lock lock(mutex_);
    if (live_) Draw(model_.Block(env_.width, env_.unicode));
    if (HasEnded(model_.job().state())) out_ << model_.Summary() << "\n" << std::flush;
  }
  v1::Job job() {
    const std::scoped_lock lock(mutex_);
    return model_.job();
  }

 private:
  void Tell(const std::vector<std::string>& lines) {
    if (live_) return;
    for (const std::string& line : lines) out_ << line << "\n";
    out_ << std::flush;
  }
  // Goes up over the last block, and clears what may be left of it.
  void Draw(const std::vector<std::string>& lines) {
    if (drawn_ > 0) out_ << "\x1b[" << drawn_ << "A";
    for (const std::string& line : lines) out_ << "\r\x1b[2K" << line << "\n";
    out_ << "\x1b[J" << std::flush;
    drawn_ = lines.size();
  }

  const Environment& env_;
  std::ostream& out_;
  const bool live_;
  std::mutex mutex_;
  ProgressModel model_;
  size_t drawn_ = 0;
  bool away_ = false;
};

void TellEnd(Context& context, const std::string& name, const v1::Job& job) {
  if (job.state() != v1::Job::FAILED) return;
  context.Say(absl::StrCat("  why:      g2ll why ", name));
  context.Say(absl::StrCat("  its log:  g2ll logs ", name));
}

}  // namespace

int FollowJob(Context& context, const std::string& full_name, std::ostream& to, bool to_terminal) {
  const std::string name = ShortName(full_name);
  JobView view(name, context.env, to, to_terminal);
  std::stop_source stop;
  const std::stop_callback pass_on(context.env.stop, [&stop] { stop.request_stop(); });
  client::StreamControl control = context.Control();
  control.stop = stop.get_token();
  if (to_terminal) {
    // On standard error it would tear the block.
    control.on_lost = [&view](const absl::Status&) { view.SetAway(true); };
    control.on_back = [&view] { view.SetAway(false); };
  }
  client::Client& client = context.client();

  client::StreamControl quiet = control;
  quiet.on_lost = nullptr;
  quiet.on_back = nullptr;
  std::future<void> metrics = std::async(std::launch::async, [&] {
    v1::StreamMetricsRequest request;
    request.set_job(full_name);
    request.set_follow(true);
    // A fault of this stream is one of the other too, which reports it.
    client
        .StreamMetrics(
            request, [&](const v1::MetricPoint& point) { view.OnMetric(point); }, nullptr, quiet)
        .status()
        .IgnoreError();
  });
  absl::Status status;
  {
    std::mutex mutex;
    std::condition_variable_any woken;
    const std::jthread redraw([&](const std::stop_token& done) {
      std::unique_lock lock(mutex);
      while (to_terminal && !done.stop_requested()) {
        woken.wait_for(lock, done, kRedrawInterval, [] { return false; });
        view.Redraw();
      }
    });
    status = client.WatchJob(
        full_name,
        [&view](const v1::Job& job) {
          view.OnJob(job);
          return true;
        },
        control);
    if (status.ok()) metrics.wait_for(kLastPointsLimit);
    stop.request_stop();
    metrics.wait();
  }
  if (absl::IsCancelled(status)) {
    context.Say(absl::StrCat("detached; the job goes on. Come back: g2ll watch ", name,
                             "   cancel it: g2ll cancel ", name));
    return kInterrupted;
  }
  if (absl::IsDeadlineExceeded(status)) {
    context.Say(absl::StrCat("time ran out; the job goes on. Come back: g2ll watch ", name));
    return kTimedOut;
  }
  if (!status.ok()) return context.Fail(status);
  view.End();
  TellEnd(context, name, view.job());
  return ExitCodeOf(view.job().state());
}

}  // namespace g2ll::cli
