#ifndef WORKER_DIST_COLLECTIVE_H_
#define WORKER_DIST_COLLECTIVE_H_

#include <torch/types.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace g2ll::dist {

// A peer went away or a collective ran out of time. The group is of no use
// afterwards: the attempt ends and starts again from its newest checkpoint.
// An exception and not a status because it passes through LibTorch's forward
// and backward; the job layer turns it into a status.
class CollectiveError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Averages the gradients of a set of parameters over the ranks of a group.
//
// Each step: ZeroGradients, then forward and Backward once or more. The reduction
// overlaps the last backward pass, and every rank ends with the same bits. Not
// thread-safe.
class GradientReducer {
 public:
  virtual ~GradientReducer() = default;

  // Sets the gradients to zero in place: they may be views of the reduction's
  // buckets, so they must not be replaced.
  virtual void ZeroGradients() = 0;

  // Runs the backward pass of the scalar `loss` and adds to the gradients. With
  // `is_last` each parameter's gradient afterwards is the mean over the ranks of
  // the sums since ZeroGradients; without it nothing is communicated, so ranks may
  // differ in how many parts they have. Every parameter must take part in every
  // loss. Throws CollectiveError.
  virtual void Backward(const torch::Tensor& loss, bool is_last = true) = 0;
};

// Rows of all ranks.
struct GatheredRows {
  torch::Tensor rows;
  int64_t begin = 0;  // where this rank's own begin
};

// The ranks of one attempt.
//
// Every rank must make the same calls in the same order. Gradients have a group
// of their own, so that they cannot be mixed up with these calls whatever the
// order in which the backward pass produces them. All methods that communicate
// throw CollectiveError. Not thread-safe.
class Collective {
 public:
  virtual ~Collective() = default;

  // From 0.
  virtual int rank() const = 0;
  virtual int world_size() const = 0;

  // Replaces the elements by their sums over the ranks. Same shape and dtype on
  // every rank; contiguous.
  virtual void AllReduceSum(torch::Tensor& tensor) = 0;

  // Makes the reducer of `parameters`, all of which require a gradient. The
  // same parameters in the same order on every rank. This must outlive it.
  virtual std::unique_ptr<GradientReducer> MakeGradientReducer(
      std::vector<torch::Tensor> parameters) = 0;

  // Returns when every rank has called it.
  void Barrier();

  // The rows of all ranks in the order of the ranks, bit for bit, without a graph:
  // [V,B,D] -> [V, sum of B, D]. B may differ between ranks, the rest may not.
  GatheredRows GatherRows(const torch::Tensor& rows);

  // The strings of all ranks, by rank. For a few hundred bytes, not for data.
  std::vector<std::string> AllGather(const std::string& bytes);
};

// The one rank of a world of one: every call is a no-op.
class LocalCollective final : public Collective {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  void AllReduceSum(torch::Tensor&) override {}
  std::unique_ptr<GradientReducer> MakeGradientReducer(
      std::vector<torch::Tensor> parameters) override;
};

}  // namespace g2ll::dist

#endif  // WORKER_DIST_COLLECTIVE_H_
