#include "tests/train/splits.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "tests/train/gang.h"
#include "worker/train/adamw.h"

namespace g2ll::test {
namespace {

// Loss of the global batch, and its gradients in the parameters.
double LossAndGradients(train::TrainTask& task, const train::StepContext& context,
                        int64_t accumulate, dist::Collective& collective,
                        dist::GradientReducer& reducer) {
  const auto parts = train::SplitShare(task.LoadBatch(context).value(), accumulate);
  reducer.ZeroGradients();
  torch::Tensor loss = torch::zeros({}, torch::kFloat64);
  for (const train::MicroBatch& part : parts) {
    const train::StepResult result = task.ComputeLoss(context, part);
    reducer.Backward(result.loss, part.end == parts.back().end);
    loss += result.loss.detach().to(torch::kFloat64) / collective.world_size();
  }
  collective.AllReduceSum(loss);
  return loss.item<double>();
}

// A gang's results are text: bytes of doubles are that too.
std::string Packed(const std::vector<double>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double)};
}

std::vector<double> Unpacked(const std::string& bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(double));
  return numbers;
}

// The numbers that all ranks have; a rank without any, or with others, is a failure.
std::vector<double> NumbersOf(const std::vector<RankResult>& ranks) {
  for (const RankResult& rank : ranks) {
    EXPECT_EQ(rank.exit_code, 0) << rank.output;
    EXPECT_TRUE(rank.output == ranks.front().output) << "ranks differ";
  }
  return Unpacked(ranks.front().output);
}

void ExpectSameNumbers(const std::vector<double>& actual, const std::vector<double>& expected,
                       torch::Dtype dtype) {
  const bool is_double = dtype == torch::kFloat64;
  ASSERT_GT(expected.size(), 1000u);
  ASSERT_EQ(actual.size(), expected.size());
  double largest = 0;
  for (size_t i = 0; i < (is_double ? expected.size() : 3); ++i) {
    ASSERT_TRUE(std::isfinite(actual[i])) << i;
    largest = std::max(largest, std::abs(actual[i] - expected[i]));
  }
  EXPECT_LT(largest, is_double ? 1e-9 : 1e-5);
}

}  // namespace

FakeBatches ShareOf(const dist::Collective& collective) {
  FakeBatches batches;
  batches.rank = collective.rank();
  batches.world_size = collective.world_size();
  return batches;
}

void Append(const torch::Tensor& tensor, std::vector<double>& numbers) {
  const torch::Tensor values = tensor.detach().to(torch::kFloat64).contiguous();
  const double* value = values.const_data_ptr<double>();
  numbers.insert(numbers.end(), value, value + values.numel());
}

std::vector<double> ThreeUpdates(train::TrainTask& task, int64_t accumulate,
                                 dist::Collective& collective, double clip) {
  train::AdamW optimizer(task.Parameters(), {});
  std::vector<torch::Tensor> tensors;
  for (const auto& parameter : optimizer.parameters()) tensors.push_back(parameter.tensor);
  const auto reducer = collective.MakeGradientReducer(tensors);
  std::vector<double> numbers;
  for (int64_t step = 0; step < 3; ++step) {
    const train::StepContext context{step, static_cast<double>(step), 8};
    numbers.push_back(LossAndGradients(task, context, accumulate, collective, *reducer));
    train::ClipGradients(optimizer.parameters(), clip);
    optimizer.Step(/*lr=*/1e-3, /*weight_decay=*/0.05, task.PlanStep(context).frozen);
    task.AfterStep(context, {});
  }
  for (const torch::Tensor& tensor : tensors) Append(tensor, numbers);
  return numbers;
}

void ExpectSameHoweverSplit(const Updates& updates, const std::vector<Split>& splits,
                            const std::vector<torch::Dtype>& dtypes) {
  for (const torch::Dtype dtype : dtypes) {
    const auto numbers_of = [&](const Split& split) {
      return NumbersOf(RunGang(split.ranks, [&](dist::Collective& collective) {
        return Packed(updates(collective, split.accumulate, dtype));
      }));
    };
    const std::vector<double> whole = numbers_of({});
    for (const Split& split : splits) {
      SCOPED_TRACE(std::to_string(split.ranks) + " ranks, " + std::to_string(split.accumulate) +
                   " parts, " + (dtype == torch::kFloat64 ? "fp64" : "fp32"));
      ExpectSameNumbers(numbers_of(split), whole, dtype);
    }
  }
}

}  // namespace g2ll::test
