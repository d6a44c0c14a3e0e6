#include "worker/evaluate/batch_reader.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "proto/common/status_macros.h"

namespace g2ll::evaluate {
namespace {

// Batches in the making: one more than is waited for. Each holds masks at the size of
// photographs, 24 MB for a large one, so their number must not grow with the processors.
constexpr int kMaxAhead = 2;

}  // namespace

BatchReader::BatchReader(const data::Dataset& dataset, const data::InputOptions& input,
                         int64_t batch, int threads)
    : dataset_(dataset),
      input_(input),
      batch_(batch),
      threads_per_batch_((threads + kMaxAhead - 1) / kMaxAhead) {
  for (int i = 0; i < std::min(threads, kMaxAhead); ++i) {
    Start();
  }
}

absl::StatusOr<EvaluationBatch> BatchReader::Read(const std::vector<int64_t>& indices) const {
  EvaluationBatch batch;
  G2LL_ASSIGN_OR_RETURN(batch.network,
                        data::LoadSegmentationBatch(dataset_, indices, input_, threads_per_batch_,
                                                    &batch.native_truth));
  return batch;
}

absl::StatusOr<EvaluationBatch> BatchReader::Next() {
  absl::StatusOr<EvaluationBatch> batch = pending_.front().get();
  pending_.pop_front();
  Start();
  return batch;
}

void BatchReader::Start() {
  if (next_index_ == dataset_.size()) {
    return;
  }
  std::vector<int64_t> indices(
      static_cast<size_t>(std::min(batch_, dataset_.size() - next_index_)));
  std::iota(indices.begin(), indices.end(), next_index_);
  next_index_ += static_cast<int64_t>(indices.size());
  pending_.push_back(std::async(std::launch::async,
                                [this, indices = std::move(indices)] { return Read(indices); }));
}

}  // namespace g2ll::evaluate
