#include "worker/train/non_finite_images.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>
#include <vector>

namespace g2ll::train {
namespace {

const std::vector<int64_t> kIndices = {40, 10, 30, 20};

TEST(NonFiniteImagesTest, NamesAnImageOnceInWhicheverViewsItIsBad) {
  torch::Tensor pixels = torch::zeros({8, 3, 2, 2});
  pixels[1][0][0][0] = std::numeric_limits<float>::quiet_NaN();
  pixels[4 + 1][2][1][1] = std::numeric_limits<float>::infinity();
  pixels[4 + 3][1][0][1] = -std::numeric_limits<float>::infinity();

  EXPECT_EQ(NonFiniteImages(pixels, kIndices, {}), "image 10, image 20");
  EXPECT_EQ(NonFiniteImages(pixels, kIndices,
                            [](int64_t index) { return "ISIC_" + std::to_string(index); }),
            "image ISIC_10, image ISIC_20");
}

TEST(NonFiniteImagesTest, NamesNoneOfAGoodBatchAndNotMoreThanThree) {
  EXPECT_EQ(NonFiniteImages(torch::zeros({4, 3, 2, 2}), kIndices, {}), "");
  EXPECT_EQ(NonFiniteImages(torch::full({4, 3, 2, 2}, std::numeric_limits<float>::infinity()),
                            kIndices, {}),
            "image 40, image 10, image 30");
}

}  // namespace
}  // namespace g2ll::train
