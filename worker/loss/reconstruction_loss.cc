#include "worker/loss/reconstruction_loss.h"

#include <torch/torch.h>

#include <cmath>

#include "worker/loss/precision.h"

namespace g2ll::loss {
namespace {

// What a patch is normalised by, both [...,1].
struct PatchScale {
  torch::Tensor mean;
  torch::Tensor deviation;
};

PatchScale ScaleOf(const torch::Tensor& patches) {
  const auto [variance, mean] =
      torch::var_mean(patches, torch::IntArrayRef{-1}, /*correction=*/at::Scalar(1),
                      /*keepdim=*/true);
  return {mean, (variance + 1e-6).sqrt()};
}

}  // namespace

torch::Tensor Patchify(const torch::Tensor& images, int patch) {
  TORCH_CHECK(images.dim() == 4 && images.size(2) % patch == 0 && images.size(3) % patch == 0,
              "images ", images.sizes(), " are not made of patches of ", patch);
  const int64_t batch = images.size(0);
  const int64_t channels = images.size(1);
  const int64_t rows = images.size(2) / patch;
  const int64_t columns = images.size(3) / patch;
  return images.reshape({batch, channels, rows, patch, columns, patch})
      .permute({0, 2, 4, 3, 5, 1})
      .reshape({batch, rows * columns, patch * patch * channels});
}

torch::Tensor Unpatchify(const torch::Tensor& patches, int patch, int channels) {
  const auto grid = std::llround(std::sqrt(static_cast<double>(patches.size(1))));
  TORCH_CHECK(patches.dim() == 3 && grid * grid == patches.size(1) &&
                  patches.size(2) == int64_t{patch} * patch * channels,
              "patches ", patches.sizes(), " are not those of a square image");
  return patches.reshape({patches.size(0), grid, grid, patch, patch, channels})
      .permute({0, 5, 1, 3, 2, 4})
      .reshape({patches.size(0), channels, grid * patch, grid * patch});
}

torch::Tensor NormalizePatches(const torch::Tensor& patches) {
  const PatchScale scale = ScaleOf(patches);
  return (patches - scale.mean) / scale.deviation;
}

torch::Tensor UndoNormalization(const torch::Tensor& predictions, const torch::Tensor& patches) {
  const PatchScale scale = ScaleOf(patches);
  return predictions * scale.deviation + scale.mean;
}

torch::Tensor ReconstructionLoss(const torch::Tensor& prediction, const torch::Tensor& images,
                                 const torch::Tensor& masked_ids, int patch, bool norm_pix,
                                 Distance distance) {
  TORCH_CHECK(
      masked_ids.dim() == 2 && masked_ids.size(0) == prediction.size(0) && masked_ids.size(1) > 0,
      "masked ids must be [B,k] with k > 0, got ", masked_ids.sizes());
  const torch::Tensor index = masked_ids.unsqueeze(-1).expand({-1, -1, prediction.size(2)});
  // Only the masked patches are normalised: the others are not compared.
  torch::Tensor target = Patchify(Widen(images), patch).gather(1, index);
  if (norm_pix) target = NormalizePatches(target);
  // All images have the same number of masked patches, so one mean is both.
  const torch::Tensor predicted = Widen(prediction.gather(1, index));
  return distance == Distance::kAbsolute ? torch::l1_loss(predicted, target)
                                         : torch::mse_loss(predicted, target);
}

}  // namespace g2ll::loss
