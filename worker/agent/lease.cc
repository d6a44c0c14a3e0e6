#include "worker/agent/lease.h"

namespace g2ll::agent {
namespace {

constexpr absl::Duration kMargin = absl::Seconds(3);
// More states than are sent in a lease: an answer to an older one would renew nothing.
constexpr size_t kMostSent = 4096;

}  // namespace

void Lease::OnSent(int64_t sequence, Clock::time_point now) {
  absl::MutexLock lock(&mutex_);
  sent_.emplace_back(sequence, now);
  if (sent_.size() > kMostSent) sent_.pop_front();
}

void Lease::OnAnswer(int64_t sequence, absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  while (!sent_.empty() && sent_.front().first <= sequence) {
    if (sent_.front().first == sequence) {
      start_ = sent_.front().second;
      duration_ = duration;
    }
    sent_.pop_front();
  }
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
