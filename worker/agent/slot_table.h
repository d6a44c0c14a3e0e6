#ifndef WORKER_AGENT_SLOT_TABLE_H_
#define WORKER_AGENT_SLOT_TABLE_H_

#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace g2ll::agent {

// Which rank places of this host are taken; on a GPU host the index is the GPU's.
// Thread safe.
class SlotTable {
 public:
  explicit SlotTable(int slots) : taken_(static_cast<size_t>(slots), false) {}

  // Takes `count` free places, lowest first; nothing if there are fewer.
  std::optional<std::vector<int>> Take(int count) ABSL_LOCKS_EXCLUDED(mutex_);
  // Gives them back.
  void Return(const std::vector<int>& slots) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  std::vector<bool> taken_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_SLOT_TABLE_H_
