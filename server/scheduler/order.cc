#include "server/scheduler/order.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace g2ll::scheduler {

JobOrder::JobOrder(const ClusterSnapshot& snapshot)
    : snapshot_(snapshot), sorted_(snapshot.pending.size()) {
  for (const ProjectView& project : snapshot.projects) {
    used_.push_back(project.used_slot_seconds);
  }
  std::iota(sorted_.begin(), sorted_.end(), 0);
  std::sort(sorted_.begin(), sorted_.end(),
            [&](int32_t left, int32_t right) { return ComesBefore(left, right); });
}

// By priority, then project, then the order within the project.
bool JobOrder::ComesBefore(int32_t left, int32_t right) const {
  const PendingJob& a = snapshot_.pending[left];
  const PendingJob& b = snapshot_.pending[right];
  // A higher priority comes first, so its operands are swapped.
  return std::tie(b.priority, a.project, a.queue_time, a.name, a.uid) <
         std::tie(a.priority, b.project, b.queue_time, b.name, b.uid);
}

bool JobOrder::IsServedAfter(const Line& a, const Line& b) const {
  const PendingJob& left = snapshot_.pending[sorted_[a.next]];
  const PendingJob& right = snapshot_.pending[sorted_[b.next]];
  return std::tie(a.share, left.queue_time, snapshot_.projects[left.project].name) >
         std::tie(b.share, right.queue_time, snapshot_.projects[right.project].name);
}

double JobOrder::ShareOf(int32_t project) const {
  return used_[project] / std::max(1e-9, snapshot_.projects[project].weight);
}

void JobOrder::PushLine(Line line) {
  line.share = ShareOf(snapshot_.pending[sorted_[line.next]].project);
  lines_.push_back(line);
  std::push_heap(lines_.begin(), lines_.end(),
                 [&](const Line& a, const Line& b) { return IsServedAfter(a, b); });
}

// Puts the lines of the next priority class into the heap.
void JobOrder::StartClass() {
  const auto job = [&](size_t position) -> const PendingJob& {
    return snapshot_.pending[sorted_[position]];
  };
  const cluster::Priority priority = job(next_class_).priority;
  while (next_class_ < sorted_.size() && job(next_class_).priority == priority) {
    Line line{next_class_, next_class_};
    while (line.end < sorted_.size() && job(line.end).priority == priority &&
           job(line.end).project == job(line.next).project) {
      ++line.end;
    }
    next_class_ = line.end;
    PushLine(line);
  }
}

int32_t JobOrder::Next() {
  // Only now, because the last job may have been charged for.
  if (last_.next < last_.end) {
    PushLine(last_);
  }
  last_ = {};
  if (lines_.empty()) {
    if (next_class_ == sorted_.size()) {
      return -1;
    }
    StartClass();
  }
  std::pop_heap(lines_.begin(), lines_.end(),
                [&](const Line& a, const Line& b) { return IsServedAfter(a, b); });
  last_ = lines_.back();
  lines_.pop_back();
  return sorted_[last_.next++];
}

}  // namespace g2ll::scheduler
