#include "worker/pretrain/preview.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/train/fakes.h"
#include "worker/dist/collective.h"
#include "worker/loss/reconstruction_loss.h"

namespace g2ll::pretrain {
namespace {

torch::Tensor Pictures() { return torch::rand({2, 3, 16, 16}); }
torch::Tensor Hidden() { return torch::tensor({{0, 5}, {3, 15}}, torch::kInt64); }

TEST(FillMaskedTest, AnExactPredictionGivesThePictureBackInBothScales) {
  torch::manual_seed(1);
  const torch::Tensor views = Pictures();
  for (const bool norm_pix : {false, true}) {
    const torch::Tensor patches = loss::Patchify(views, 4);
    const torch::Tensor exact = norm_pix ? loss::NormalizePatches(patches) : patches;

    const torch::Tensor filled = FillMasked(views, exact, Hidden(), 4, norm_pix);

    EXPECT_TRUE(torch::allclose(filled, views, 0, 1e-5)) << norm_pix;
  }
}

TEST(FillMaskedTest, VisiblePatchesKeepTheirBits) {
  torch::manual_seed(1);
  const torch::Tensor views = Pictures();

  const torch::Tensor filled =
      FillMasked(views, torch::full({2, 16, 48}, 7.0), Hidden(), 4, /*norm_pix=*/false);

  const torch::Tensor is_changed = loss::Patchify(filled, 4).ne(loss::Patchify(views, 4)).any(2);
  const torch::Tensor expected = torch::zeros({2, 16}, torch::kBool).scatter(1, Hidden(), true);
  EXPECT_TRUE(torch::equal(is_changed, expected));
}

TEST(PreviewTest, ShowsTheBatchAsItCameAndWhatTheDecoderMakesOfIt) {
  dist::LocalCollective alone;
  PretrainTask task(test::TinyPretrainOptions(1), test::FakePretrainLoader({}), alone);
  const data::PretrainBatch batch = *test::FakePretrainLoader({})->Next();

  const StudentPreview preview = task.Preview(batch);

  EXPECT_TRUE(preview.is_masked);
  EXPECT_TRUE(torch::equal(preview.batch.masked_ids, batch.masked_ids));
  ASSERT_TRUE(preview.reconstructions.defined());
  EXPECT_EQ(preview.reconstructions.sizes(), batch.views.sizes());
  EXPECT_FALSE(preview.reconstructions.requires_grad());
}

TEST(PreviewTest, AStudentWithoutMasksAndDecoderHasNoReconstruction) {
  dist::LocalCollective alone;
  PretrainOptions options = test::TinyPretrainOptions(1);
  options.mim.reset();
  options.student_input = StudentInput::kAll;
  PretrainTask task(options, test::FakePretrainLoader({}), alone);

  const StudentPreview preview = task.Preview(*test::FakePretrainLoader({})->Next());

  EXPECT_FALSE(preview.is_masked);
  EXPECT_FALSE(preview.reconstructions.defined());
}

}  // namespace
}  // namespace g2ll::pretrain
