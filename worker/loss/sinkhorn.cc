#include "worker/loss/sinkhorn.h"

#include <torch/torch.h>

#include "worker/loss/precision.h"

namespace g2ll::loss {

torch::Tensor SinkhornAssignments(const torch::Tensor& teacher_logits,
                                  const SinkhornOptions& options,
                                  const AllReduceSums& sum_over_ranks) {
  TORCH_CHECK(teacher_logits.dim() == 2, "teacher logits are [B,K], got ", teacher_logits.sizes());
  TORCH_CHECK(options.temperature > 0 && options.iterations >= 1, "temperature ",
              options.temperature, " and ", options.iterations, " iterations are no assignment");
  torch::NoGradGuard no_grad;
  const FullPrecisionScope full_precision;
  torch::Tensor weights = (teacher_logits.to(torch::kFloat64) / options.temperature).exp();
  // The first scaling makes a common factor cancel, so none is taken out before.
  for (int i = 0; i < options.iterations; ++i) {
    torch::Tensor output_sums = weights.sum(0, /*keepdim=*/true);
    if (sum_over_ranks) sum_over_ranks(output_sums);
    weights = weights / output_sums;
    // A row lives on one rank. Its sum is the number of rows or outputs times its
    // share; both factors cancel in the quotient.
    weights = weights / weights.sum(1, /*keepdim=*/true);
  }
  return weights.to(Widen(teacher_logits).scalar_type());
}

}  // namespace g2ll::loss
