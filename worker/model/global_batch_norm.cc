#include "worker/model/global_batch_norm.h"

#include <torch/torch.h>

#include <utility>
#include <vector>

namespace g2ll::model {
namespace {

constexpr double kEps = 1e-5;
constexpr double kMomentum = 0.1;

// Carries the reduction from forward to backward inside autograd's saved data.
struct Reduction : torch::CustomClassHolder {
  explicit Reduction(AllReduceSum function) : all_reduce_sum(std::move(function)) {}
  AllReduceSum all_reduce_sum;
};

// Statistics [C] of the global batch in float64, and the number of values per channel.
struct Statistics {
  torch::Tensor mean;
  torch::Tensor variance;  // biased
  torch::Tensor count;     // scalar
};

torch::Tensor PerChannel(const torch::Tensor& values) { return values.view({1, -1, 1, 1}); }

// One all-reduce of [1 + 2C]. A rank's variance is computed around its own mean;
// only then are sums of squares formed, in float64, where what the subtraction
// loses is below float32's resolution.
Statistics GlobalStatistics(const torch::Tensor& input, const AllReduceSum& all_reduce_sum) {
  const auto [local_variance, local_mean] =
      torch::var_mean(input, torch::IntArrayRef{0, 2, 3}, /*correction=*/at::Scalar(0));
  const double count = static_cast<double>(input.numel() / input.size(1));
  const torch::Tensor mean = local_mean.to(torch::kFloat64);
  const torch::Tensor square = local_variance.to(torch::kFloat64) + mean.square();
  torch::Tensor sums =
      torch::cat({torch::full({1}, count, mean.options()), mean * count, square * count});
  all_reduce_sum(sums);
  const int64_t channels = input.size(1);
  Statistics result;
  result.count = sums[0];
  result.mean = sums.slice(0, 1, 1 + channels) / result.count;
  result.variance =
      (sums.slice(0, 1 + channels) / result.count - result.mean.square()).clamp_min(0);
  return result;
}

// Normalises with given statistics; its backward is that of the statistics of the
// global batch, so the two sums over the gradient are reduced as well.
class Normalize : public torch::autograd::Function<Normalize> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& input, const torch::Tensor& weight,
                               const torch::Tensor& bias, const torch::Tensor& mean,
                               const torch::Tensor& inverse_deviation, const torch::Tensor& count,
                               const c10::intrusive_ptr<Reduction>& reduction) {
    context->save_for_backward({input, weight, mean, inverse_deviation, count});
    context->saved_data["reduction"] = c10::IValue::make_capsule(reduction);
    return (input - PerChannel(mean)) * PerChannel(inverse_deviation * weight) + PerChannel(bias);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               const torch::autograd::tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor& weight = saved[1];
    const torch::Tensor& inverse_deviation = saved[3];
    const torch::Tensor gradient = gradients[0];
    const torch::Tensor normalized =
        (saved[0] - PerChannel(saved[2])) * PerChannel(inverse_deviation);
    const torch::Tensor bias_gradient = gradient.sum({0, 2, 3});
    const torch::Tensor weight_gradient = (gradient * normalized).sum({0, 2, 3});

    torch::Tensor sums = torch::cat({bias_gradient, weight_gradient}).to(torch::kFloat64);
    const auto capsule = context->saved_data["reduction"].toCapsule();
    c10::static_intrusive_pointer_cast<Reduction>(capsule)->all_reduce_sum(sums);
    const torch::Tensor means = (sums / saved[4]).to(gradient.scalar_type());
    const int64_t channels = weight.size(0);
    const torch::Tensor input_gradient = (gradient - PerChannel(means.slice(0, 0, channels)) -
                                          normalized * PerChannel(means.slice(0, channels))) *
                                         PerChannel(inverse_deviation * weight);
    return {input_gradient,  weight_gradient, bias_gradient,  torch::Tensor(),
            torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

GlobalBatchNormImpl::GlobalBatchNormImpl(int64_t channels) {
  weight_ = register_parameter("weight", torch::ones({channels}));
  bias_ = register_parameter("bias", torch::zeros({channels}));
  running_mean_ = register_buffer("running_mean", torch::zeros({channels}));
  running_var_ = register_buffer("running_var", torch::ones({channels}));
}

torch::Tensor GlobalBatchNormImpl::forward(const torch::Tensor& input) {
  TORCH_CHECK(input.dim() == 4 && input.size(1) == weight_.size(0) && input.numel() > 0,
              "batch normalisation of ", weight_.size(0), " channels got ", input.sizes());
  if (!is_training() || !all_reduce_sum_) {
    return torch::batch_norm(input, weight_, bias_, running_mean_, running_var_, is_training(),
                             kMomentum, kEps, /*cudnn_enabled=*/true);
  }
  // Statistics need float32 where autocast hands in half precision.
  const torch::Tensor wide = input.to(weight_.scalar_type());
  Statistics statistics;
  torch::Tensor inverse_deviation;
  {
    torch::NoGradGuard no_grad;
    statistics = GlobalStatistics(wide, all_reduce_sum_);
    inverse_deviation = (statistics.variance + kEps).rsqrt();
    const torch::Tensor unbiased =
        statistics.variance * (statistics.count / (statistics.count - 1).clamp_min(1));
    running_mean_.lerp_(statistics.mean.to(running_mean_.scalar_type()), kMomentum);
    running_var_.lerp_(unbiased.to(running_var_.scalar_type()), kMomentum);
  }
  const auto type = weight_.scalar_type();
  const torch::Tensor output =
      Normalize::apply(wide, weight_, bias_, statistics.mean.to(type), inverse_deviation.to(type),
                       statistics.count, c10::make_intrusive<Reduction>(all_reduce_sum_));
  return output.to(input.scalar_type());
}

}  // namespace g2ll::model
