#include "worker/train/non_finite_images.h"

#include <torch/torch.h>

#include "absl/strings/str_cat.h"

namespace g2ll::train {
namespace {

constexpr int kMaxNamed = 3;

}  // namespace

std::string NonFiniteImages(const torch::Tensor& pixels, std::span<const int64_t> indices,
                            const ImageName& name) {
  const auto num_images = static_cast<int64_t>(indices.size());
  const torch::Tensor is_good =
      torch::isfinite(pixels.flatten(1)).all(1).view({-1, num_images}).all(0);
  std::string names;
  int num_named = 0;
  for (int64_t i = 0; i < num_images && num_named < kMaxNamed; ++i) {
    if (is_good[i].item<bool>()) continue;
    const int64_t index = indices[static_cast<size_t>(i)];
    absl::StrAppend(&names, num_named++ == 0 ? "" : ", ", "image ",
                    name ? name(index) : absl::StrCat(index));
  }
  return names;
}

}  // namespace g2ll::train
