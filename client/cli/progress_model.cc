#include "client/cli/progress_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/exit_code.h"
#include "proto/common/log.h"

namespace g2ll::cli {
namespace {

constexpr size_t kMaxLosses = 4000;
constexpr double kLineShare = 0.05;
constexpr absl::Duration kLineInterval = absl::Seconds(10);

std::string StateName(v1::Job::State state) { return v1::Job::State_Name(state); }

std::string ValueText(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "NaN" : value > 0 ? "inf" : "-inf";
  return absl::StrFormat("%.4g", value);
}

bool IsLoss(const std::string& name) { return name == "loss" || name.rfind("loss/", 0) == 0; }

bool IsMeasurement(const std::string& name) {
  return name.rfind("val/", 0) == 0 || name.rfind("test/", 0) == 0;
}

// Characters, not bytes: every byte but those that continue a character.
size_t NumCharacters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

std::string ProgressBar(double ratio, int width) {
  const double share = std::isfinite(ratio) ? std::clamp(ratio, 0.0, 1.0) : 0.0;
  const auto filled = static_cast<size_t>(std::lround(share * width));
  return std::string(filled, '#') + std::string(static_cast<size_t>(width) - filled, '-');
}

std::string Sparkline(const std::deque<double>& values, int width, bool unicode) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr const char* kAscii[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
  if (values.empty() || width <= 0) return "";
  const size_t count = std::min(values.size(), static_cast<size_t>(width));
  std::vector<double> means(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * values.size() / count;
    const size_t end = (i + 1) * values.size() / count;
    double sum = 0;
    for (size_t j = begin; j < end; ++j) sum += values[j];
    means[i] = sum / static_cast<double>(end - begin);
  }
  double low = INFINITY;
  double high = -INFINITY;
  for (const double mean : means) {
    if (!std::isfinite(mean)) continue;
    low = std::min(low, mean);
    high = std::max(high, mean);
  }
  std::string line;
  for (const double mean : means) {
    if (!std::isfinite(mean)) {
      line += "!";
      continue;
    }
    const double level = high > low ? (mean - low) / (high - low) * 7 : 0;
    line += (unicode ? kBars : kAscii)[std::lround(level)];
  }
  return line;
}

std::string ShortDuration(absl::Duration duration) {
  const int64_t seconds = std::clamp<int64_t>(absl::ToInt64Seconds(duration), 0, 365 * 86400);
  if (seconds < 60) return absl::StrCat(seconds, "s");
  if (seconds < 3600) return absl::StrFormat("%dm%02ds", seconds / 60, seconds % 60);
  return absl::StrFormat("%dh%02dm", seconds / 3600, seconds / 60 % 60);
}

std::string Clip(const std::string& text, int width) {
  if (width <= 0 || NumCharacters(text) <= static_cast<size_t>(width)) return text;
  size_t end = 0;
  for (int characters = 0; end < text.size(); ++end) {
    const bool starts = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
    if (starts && characters++ == width) break;
  }
  return text.substr(0, end);
}

ProgressModel::ProgressModel(std::string name) : name_(log::EscapeControl(name)) {}

std::vector<std::string> ProgressModel::OnJob(const v1::Job& job, absl::Time now) {
  job_ = job;
  for (const auto& [name, value] : job.metrics()) newest_.emplace(name, value);
  std::vector<std::string> lines;
  const std::string reason = job.state_reason().code();
  const bool is_waiting = job.state() == v1::Job::PENDING && reason != shown_reason_;
  // How a job ended is the summary's line.
  if ((job.state() != shown_state_ || is_waiting) && !HasEnded(job.state())) {
    shown_state_ = job.state();
    shown_reason_ = reason;
    const std::string message = log::EscapeControl(job.state_reason().message());
    lines.push_back(
        absl::StrCat(name_, ": ", StateName(job.state()), message.empty() ? "" : ": ", message));
  }
  const v1::Progress& progress = job.progress();
  if (job.state() != v1::Job::RUNNING || progress.step() == shown_step_ || progress.step() == 0) {
    return lines;
  }
  const bool is_far = progress.total_steps() <= 0 || shown_step_ < 0 ||
                      static_cast<double>(progress.step() - shown_step_) >=
                          kLineShare * static_cast<double>(progress.total_steps());
  if (is_far || now - shown_time_ >= kLineInterval || progress.step() < shown_step_) {
    shown_step_ = progress.step();
    shown_time_ = now;
    const std::string loss = LossText();
    lines.push_back(absl::StrCat(name_, ": ", ProgressText(), loss.empty() ? "" : "  ", loss));
  }
  return lines;
}

std::vector<std::string> ProgressModel::OnMetric(const v1::MetricPoint& point, absl::Time) {
  const std::string name = log::EscapeControl(point.name());
  if (IsLoss(name)) {
    TakeLoss(name, point);
  } else {
    newest_[name] = point.value();
  }
  if (point.name() == "rollback") {
    return {absl::StrCat(name_, ": went back to step ", static_cast<int64_t>(point.value()),
                         " after a recovery")};
  }
  if (!IsMeasurement(point.name())) return {};
  return {
      absl::StrCat(name_, ": ", name, " ", ValueText(point.value()), " at step ", point.step())};
}

void ProgressModel::TakeLoss(const std::string& name, const v1::MetricPoint& point) {
  if (name == "loss") {
    losses_.push_back(point.value());
    if (losses_.size() > kMaxLosses) losses_.pop_front();
  }
  const auto take_over = [this] {
    for (const auto& [part, value] : step_losses_) newest_[part] = value;
    step_losses_.clear();
  };
  if (point.step() != loss_step_) take_over();
  loss_step_ = point.step();
  step_losses_[name] = point.value();
  const auto known = std::count_if(newest_.begin(), newest_.end(),
                                   [](const auto& entry) { return IsLoss(entry.first); });
  if (known > 0 && step_losses_.size() >= static_cast<size_t>(known)) take_over();
}

std::string ProgressModel::ProgressText() const {
  const v1::Progress& progress = job_.progress();
  std::string text = absl::StrCat("step ", progress.step());
  if (progress.total_steps() > 0) {
    absl::StrAppend(&text, "/", progress.total_steps(),
                    absl::StrFormat(" %3.0f %%", 100.0 * static_cast<double>(progress.step()) /
                                                     static_cast<double>(progress.total_steps())));
  }
  if (progress.epoch() > 0)
    absl::StrAppend(&text, absl::StrFormat("  epoch %.1f", progress.epoch()));
  if (progress.images_per_second() > 0) {
    absl::StrAppend(&text, absl::StrFormat("  %.1f images/s", progress.images_per_second()));
  }
  if (progress.has_eta()) {
    absl::StrAppend(&text, "  ", ShortDuration(absl::Seconds(progress.eta().seconds())), " left");
  }
  return text;
}

std::string ProgressModel::LossText() const {
  std::string text;
  for (const auto& [name, value] : newest_) {
    if (name == "loss") {
      text = absl::StrCat("loss ", ValueText(value), text);
    } else if (name.rfind("loss/", 0) == 0) {
      absl::StrAppend(&text, "  ", name.substr(5), " ", ValueText(value));
    }
  }
  return text;
}

std::string ProgressModel::OverlapText() const {
  std::string text;
  for (const auto& [name, value] : newest_) {
    if (IsMeasurement(name)) {
      absl::StrAppend(&text, text.empty() ? "" : "  ", name, " ", ValueText(value));
    }
  }
  if (job_.has_best_metric() && !job_.best_metric().name().empty()) {
    absl::StrAppend(&text, text.empty() ? "" : "  ", "best ",
                    log::EscapeControl(job_.best_metric().name()), " ",
                    ValueText(job_.best_metric().value()), " at step ", job_.best_metric().step());
  }
  return text;
}

std::vector<std::string> ProgressModel::Block(int width, bool unicode) const {
  std::vector<std::string> lines;
  std::string head = absl::StrCat(name_, "  ", StateName(job_.state()));
  if (job_.attempts_size() > 0) {
    const v1::Attempt& attempt = *job_.attempts().rbegin();
    absl::StrAppend(&head, "  attempt ", attempt.number(), "  ", attempt.world_size(),
                    attempt.world_size() == 1 ? " rank" : " ranks");
  }
  lines.push_back(head);
  if (!job_.state_reason().message().empty() && job_.state() != v1::Job::RUNNING) {
    lines.push_back(log::EscapeControl(job_.state_reason().message()));
  }
  const v1::Progress& progress = job_.progress();
  if (progress.step() > 0 || progress.total_steps() > 0) {
    const double ratio =
        progress.total_steps() > 0
            ? static_cast<double>(progress.step()) / static_cast<double>(progress.total_steps())
            : 0;
    lines.push_back(absl::StrCat("[", ProgressBar(ratio, 24), "]  ", ProgressText()));
  }
  if (const std::string loss = LossText(); !loss.empty()) {
    const int room = std::max(8, width - static_cast<int>(NumCharacters(loss)) - 2);
    lines.push_back(absl::StrCat(loss, "  ", Sparkline(losses_, std::min(room, 40), unicode)));
  }
  if (const std::string overlap = OverlapText(); !overlap.empty()) lines.push_back(overlap);
  for (std::string& line : lines) line = Clip(line, width);
  return lines;
}

std::string ProgressModel::Summary() const {
  std::string text = absl::StrCat(name_, ": ", StateName(job_.state()));
  if (job_.has_start_time() && job_.has_end_time()) {
    absl::StrAppend(
        &text, " after ",
        ShortDuration(absl::Seconds(job_.end_time().seconds() - job_.start_time().seconds())));
  }
  if (job_.state() == v1::Job::FAILED) {
    absl::StrAppend(&text, ": ", log::EscapeControl(job_.state_reason().message()));
  } else if (const std::string overlap = OverlapText(); !overlap.empty()) {
    absl::StrAppend(&text, "; ", overlap);
  } else if (const std::string loss = LossText(); !loss.empty()) {
    absl::StrAppend(&text, "; ", loss);
  }
  return text;
}

}  // namespace g2ll::cli
