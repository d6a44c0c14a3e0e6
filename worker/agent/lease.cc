#include "worker/agent/lease.h"

namespace g2ll::agent {
namespace {

constexpr absl::Duration kMargin = absl::Seconds(3);

}  // namespace

void Lease::OnSent(Clock::time_point now) {
  absl::MutexLock lock(&mutex_);
  last_sent_ = now;
  if (!next_start_) next_start_ = now;
}

void Lease::OnAnswer(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  if (!next_start_) return;
  start_ = next_start_;
  next_start_ = last_sent_;
  duration_ = duration;
}

void Lease::OnNewStream() {
  absl::MutexLock lock(&mutex_);
  last_sent_.reset();
  next_start_.reset();
}

bool Lease::Holds(Clock::time_point now) const {
  absl::MutexLock lock(&mutex_);
  return start_ && absl::FromChrono(now - *start_) < duration_ - kMargin;
}

std::optional<absl::Duration> Lease::Age(Clock::time_point now) const {
  absl::MutexLock lock(&mutex_);
  if (!start_) return std::nullopt;
  return absl::FromChrono(now - *start_);
}

}  // namespace g2ll::agent
