#ifndef WORKER_EVALUATE_BATCH_READER_H_
#define WORKER_EVALUATE_BATCH_READER_H_

#include <cstdint>
#include <deque>
#include <future>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/batch.h"
#include "worker/data/dataset.h"
#include "worker/data/image.h"
#include "worker/data/loader.h"

namespace g2ll::evaluate {

// Some images of a data set at network size, with their masks at both sizes.
struct EvaluationBatch {
  data::SegmentationBatch network;
  std::vector<data::LesionMask> native_truth;  // one for each image, at its own size
};

// Reads a data set once, in order, in batches made ahead of their use by threads
// of its own. One caller at a time.
class BatchReader {
 public:
  // `dataset` must outlive the reader. `batch` and `threads` (images read at the same
  // time) are at least 1. At most two batches are held ahead of their use.
  BatchReader(const data::Dataset& dataset, const data::InputOptions& input, int64_t batch,
              int threads);

  bool HasNext() const { return !pending_.empty(); }

  // The next batch; waits for it. Only when HasNext. Errors: DataLoss, names the image.
  absl::StatusOr<EvaluationBatch> Next();

 private:
  // Begins the next batch, if there are images left.
  void Start();
  absl::StatusOr<EvaluationBatch> Read(const std::vector<int64_t>& indices) const;

  const data::Dataset& dataset_;
  data::InputOptions input_;
  int64_t batch_;
  int threads_per_batch_;
  int64_t next_index_ = 0;
  std::deque<std::future<absl::StatusOr<EvaluationBatch>>> pending_;
};

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_BATCH_READER_H_
