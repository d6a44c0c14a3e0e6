#ifndef WORKER_TRAIN_HISTORY_H_
#define WORKER_TRAIN_HISTORY_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace g2ll::train {

// The curve of one metric, thinned so that it never holds more than 500 points:
// when it is full every second point goes and from then on only every second
// new one is kept.
class Series {
 public:
  void Add(int64_t step, double value);
  const std::vector<std::pair<int64_t, double>>& points() const { return points_; }

 private:
  std::vector<std::pair<int64_t, double>> points_;
  int64_t stride_ = 1;
  int64_t num_seen_ = 0;
};

// What one job did, over all its attempts.
struct RunRecord {
  std::string job;
  std::string kind;                      // `PretrainJob` or `FinetuneJob`
  double seconds = 0;                    // training and validation
  double images_per_second = 0;          // mean over the run
  int64_t images = 0;                    // images that entered an update
  std::map<std::string, Series> series;  // by metric name
};

// A run with the runs whose models it was started from: what an evaluation's
// report shows without asking anybody. `history.json` of a checkpoint.
struct History {
  std::vector<RunRecord> runs;            // oldest first
  std::vector<std::string> pretrain_ids;  // images the encoder was pre-trained on
};

// One JSON document. Numbers that are not finite become the strings `NaN`,
// `Infinity` and `-Infinity`.
std::string FormatHistory(const History& history);

// Errors: DataLoss (not such a document).
absl::StatusOr<History> ParseHistory(std::string_view json);

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_HISTORY_H_
