#include "worker/loss/gram_loss.h"

#include <torch/torch.h>

#include "worker/loss/precision.h"

namespace g2ll::loss {
namespace {

// [B,N,D] -> [B,N,N].
torch::Tensor Cosines(const torch::Tensor& tokens) {
  namespace F = torch::nn::functional;
  const torch::Tensor rows = F::normalize(Widen(tokens), F::NormalizeFuncOptions().dim(2));
  return torch::matmul(rows, rows.transpose(1, 2));
}

}  // namespace

torch::Tensor GramLoss(const torch::Tensor& student, const torch::Tensor& teacher) {
  TORCH_CHECK(student.dim() == 3 && student.sizes() == teacher.sizes(),
              "patch tokens are [B,N,D], got ", student.sizes(), " and ", teacher.sizes());
  const FullPrecisionScope full_precision;
  return torch::mse_loss(Cosines(student), Cosines(teacher.detach()));
}

}  // namespace g2ll::loss
