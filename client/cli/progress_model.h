#ifndef CLIENT_CLI_PROGRESS_MODEL_H_
#define CLIENT_CLI_PROGRESS_MODEL_H_

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "g2ll/v1/job.pb.h"
#include "g2ll/v1/telemetry.pb.h"

namespace g2ll::cli {

// `####----` of `width` characters; `ratio` outside [0, 1] is cut.
std::string ProgressBar(double ratio, int width);

// A row of bars for `values`, averaged down to at most `width` of them and scaled
// to their own range. Values that are not finite are `!`. With `unicode` eight
// heights, else ASCII.
std::string Sparkline(const std::deque<double>& values, int width, bool unicode);

// `45s`, `3m20s`, `1h05m`.
std::string ShortDuration(absl::Duration duration);

// `text` cut to `width` characters of a terminal.
std::string Clip(const std::string& text, int width);

// What is known about a job that is being followed, and how it is shown. Time
// comes from the caller. Texts of the server are escaped. Not thread safe.
class ProgressModel {
 public:
  // `name`: short name of the job, as it is shown.
  explicit ProgressModel(std::string name);

  // Takes news in. Returns the plain lines that a log or a pipe should get: every
  // change of state, a line of progress about every 5 % or 10 s, and every value
  // of `val/` and `test/` metrics.
  std::vector<std::string> OnJob(const v1::Job& job, absl::Time now);
  std::vector<std::string> OnMetric(const v1::MetricPoint& point, absl::Time now);

  // The lines that a terminal shows, to be drawn over the last ones.
  std::vector<std::string> Block(int width, bool unicode) const;

  // One line on how the job ended.
  std::string Summary() const;

  const v1::Job& job() const { return job_; }

 private:
  void TakeLoss(const std::string& name, const v1::MetricPoint& point);
  std::string ProgressText() const;
  std::string LossText() const;
  std::string OverlapText() const;

  const std::string name_;
  v1::Job job_;
  std::map<std::string, double> newest_;
  // Parts of the loss come as points of their own: those of one step are shown
  // together, once the next step begins or all are there.
  std::map<std::string, double> step_losses_;
  int64_t loss_step_ = -1;
  std::deque<double> losses_;
  v1::Job::State shown_state_ = v1::Job::STATE_UNSPECIFIED;
  std::string shown_reason_;
  int64_t shown_step_ = -1;
  absl::Time shown_time_ = absl::InfinitePast();
};

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_PROGRESS_MODEL_H_
