#include "worker/evaluate/batch_reader.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "proto/common/status_macros.h"

namespace g2ll::evaluate {
namespace {

absl::StatusOr<EvaluationBatch> ReadBatch(const data::Dataset& dataset,
                                          const data::InputOptions& input,
                                          const std::vector<int64_t>& indices) {
  EvaluationBatch batch;
  G2LL_ASSIGN_OR_RETURN(batch.network, data::LoadSegmentationBatch(dataset, indices, input));
  for (const int64_t index : indices) {
    G2LL_ASSIGN_OR_RETURN(data::LesionMask truth, dataset.LoadMask(index));
    batch.native_truth.push_back(std::move(truth));
  }
  return batch;
}

}  // namespace

BatchReader::BatchReader(const data::Dataset& dataset, const data::InputOptions& input,
                         int64_t batch, int num_ahead)
    : dataset_(dataset), input_(input), batch_(batch) {
  for (int i = 0; i < num_ahead; ++i) {
    Start();
  }
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
  pending_.push_back(std::async(std::launch::async, [this, indices = std::move(indices)] {
    return ReadBatch(dataset_, input_, indices);
  }));
}

}  // namespace g2ll::evaluate
