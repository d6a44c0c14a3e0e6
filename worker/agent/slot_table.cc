#include "worker/agent/slot_table.h"

namespace g2ll::agent {

std::optional<std::vector<int>> SlotTable::Take(int count) {
  absl::MutexLock lock(&mutex_);
  std::vector<int> found;
  for (size_t slot = 0; slot < taken_.size() && static_cast<int>(found.size()) < count; ++slot) {
    if (!taken_[slot]) found.push_back(static_cast<int>(slot));
  }
  if (static_cast<int>(found.size()) < count) return std::nullopt;
  for (int slot : found) taken_[static_cast<size_t>(slot)] = true;
  return found;
}

void SlotTable::Return(const std::vector<int>& slots) {
  absl::MutexLock lock(&mutex_);
  for (int slot : slots) taken_[static_cast<size_t>(slot)] = false;
}

}  // namespace g2ll::agent
