#include "worker/dist/collective.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace g2ll::dist {
namespace {

// World size 1: nothing to average.
class LocalReducer final : public GradientReducer {
 public:
  explicit LocalReducer(std::vector<torch::Tensor> parameters)
      : parameters_(std::move(parameters)) {}

  void ZeroGradients() override {
    for (torch::Tensor& parameter : parameters_) {
      if (parameter.grad().defined()) parameter.mutable_grad().zero_();
    }
  }

  void Backward(const torch::Tensor& loss, bool) override { loss.backward(); }

 private:
  std::vector<torch::Tensor> parameters_;
};

}  // namespace

void Collective::Barrier() {
  torch::Tensor one = torch::ones({1});
  AllReduceSum(one);
}

GatheredRows Collective::GatherRows(const torch::Tensor& rows) {
  torch::NoGradGuard no_grad;
  torch::Tensor sizes = torch::zeros({world_size()}, torch::kInt64);
  sizes[rank()] = rows.size(1);
  AllReduceSum(sizes);
  const int64_t begin = sizes.slice(0, 0, rank()).sum().item<int64_t>();

  // A sum of rows that only one rank fills is a gather.
  torch::Tensor all =
      torch::zeros({rows.size(0), sizes.sum().item<int64_t>(), rows.size(2)}, rows.options());
  all.narrow(1, begin, rows.size(1)).copy_(rows);
  AllReduceSum(all);
  return {all, begin};
}

std::vector<std::string> Collective::AllGather(const std::string& bytes) {
  torch::Tensor sizes = torch::zeros({world_size()}, torch::kInt64);
  sizes[rank()] = static_cast<int64_t>(bytes.size());
  AllReduceSum(sizes);

  // A sum of rows that only one rank fills is a gather.
  const int64_t width = std::max<int64_t>(1, sizes.max().item<int64_t>());
  torch::Tensor rows = torch::zeros({world_size(), width}, torch::kUInt8);
  std::memcpy(rows[rank()].data_ptr(), bytes.data(), bytes.size());
  AllReduceSum(rows);

  std::vector<std::string> result;
  for (int peer = 0; peer < world_size(); ++peer) {
    const auto size = static_cast<size_t>(sizes[peer].item<int64_t>());
    result.emplace_back(static_cast<const char*>(rows[peer].data_ptr()), size);
  }
  return result;
}

std::unique_ptr<GradientReducer> LocalCollective::MakeGradientReducer(
    std::vector<torch::Tensor> parameters) {
  return std::make_unique<LocalReducer>(std::move(parameters));
}

}  // namespace g2ll::dist
