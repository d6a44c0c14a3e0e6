#include "worker/loss/koleo_loss.h"

#include <torch/torch.h>

#include <limits>

#include "worker/loss/precision.h"

namespace g2ll::loss {
namespace {

constexpr double kEpsilon = 1e-8;

// For each of the unit rows [B,D] the index of the nearest other one, [B].
torch::Tensor NearestOthers(const torch::Tensor& rows) {
  torch::NoGradGuard no_grad;
  // The largest cosine belongs to the smallest distance.
  torch::Tensor cosines = torch::matmul(rows, rows.transpose(0, 1));
  cosines.fill_diagonal_(-std::numeric_limits<double>::infinity());
  return cosines.argmax(1);
}

}  // namespace

torch::Tensor KoLeoLoss(const torch::Tensor& features) {
  TORCH_CHECK(features.dim() == 2 && features.size(0) >= 2,
              "neighbours need features [B,D] of two rows, got ", features.sizes());
  const FullPrecisionScope full_precision;
  namespace F = torch::nn::functional;
  const torch::Tensor rows = F::normalize(Widen(features), F::NormalizeFuncOptions().dim(1));
  const torch::Tensor others = rows.index_select(0, NearestOthers(rows));
  return -((rows - others).norm(2, 1) + kEpsilon).log().mean();
}

}  // namespace g2ll::loss
