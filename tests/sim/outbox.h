#ifndef TESTS_SIM_OUTBOX_H_
#define TESTS_SIM_OUTBOX_H_

#include <cstdint>
#include <deque>

#include "g2ll/v1/worker.pb.h"

namespace g2ll::sim {

// Reports of one rank between the simulated trainer and the coordinator's disk:
// numbered from 1 and kept until acknowledged. Used by one thread.
class Outbox {
 public:
  void Add(v1::TelemetryItem item) {
    item.set_local_seq(++last_seq_);
    items_.push_back(std::move(item));
  }
  // A new connection: everything that is not acknowledged goes again.
  void Rewind() { sent_ = 0; }
  // Everything up to the number is stored.
  void Acknowledge(int64_t local_seq) {
    while (!items_.empty() && items_.front().local_seq() <= local_seq) {
      items_.pop_front();
      sent_ -= sent_ > 0 ? 1 : 0;
      ++acknowledged_;
    }
  }
  bool has_unsent() const { return sent_ < items_.size(); }
  // Moves on behind up to `most` items and puts them into `batch`.
  void Take(int most, v1::PushTelemetryRequest* batch) {
    while (has_unsent() && batch->items_size() < most) {
      *batch->add_items() = items_[sent_++];
    }
  }
  size_t pending() const { return items_.size(); }
  int64_t last_seq() const { return last_seq_; }
  int64_t acknowledged() const { return acknowledged_; }

 private:
  std::deque<v1::TelemetryItem> items_;
  size_t sent_ = 0;
  int64_t last_seq_ = 0;
  int64_t acknowledged_ = 0;
};

}  // namespace g2ll::sim

#endif  // TESTS_SIM_OUTBOX_H_
