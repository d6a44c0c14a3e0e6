#include "worker/pretrain/classification_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <set>

#include "tests/train/fake_classification.h"
#include "tests/train/resumed_run.h"
#include "tests/train/spoiled_loader.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/dist/collective.h"

namespace g2ll {
namespace {

using test::FakeBatches;
using test::LoopRun;
using test::Recorder;
using test::TempDirectory;

TEST(ClassificationTaskTest, LearnsTheClassesOfEightImages) {
  dist::LocalCollective alone;
  pretrain::ClassificationTask task(test::TinyClassificationOptions(200),
                                    test::FakeClassificationLoader({}), nullptr, alone);
  Recorder recorder;
  TempDirectory storage;
  LoopRun run{.last_step = 200, .storage = storage.path(), .clip = 0};

  ASSERT_TRUE(test::RunLoop(task, alone, recorder, run).ok());

  const std::vector<double> loss = recorder.Values("loss");
  EXPECT_NEAR(loss.front(), std::log(3.0), 0.4);
  // Smoothing keeps the loss above its entropy.
  EXPECT_LT(loss.back(), 0.5);
  EXPECT_EQ(recorder.Values("loss/classification"), loss);
  const std::string directory = storage.path() + "/checkpoints/job/e1/s200";
  const auto encoder = checkpoint::LoadTensors(directory + "/encoder.safetensors");
  const auto head = checkpoint::LoadTensors(directory + "/classifier.safetensors");
  ASSERT_TRUE(encoder.ok() && head.ok());
  EXPECT_TRUE(encoder->contains("pos_embed"));
  EXPECT_TRUE(encoder->contains("blocks.1.attn.qkv.weight"));
  EXPECT_EQ(head->at("classifier.weight").sizes(), (std::vector<int64_t>{3, 32}));
  EXPECT_EQ(head->size(), 2U);
}

TEST(ClassificationTaskTest, ResumedRunIsBitwiseTheUninterruptedOne) {
  const auto options = test::TinyClassificationOptions(6);
  test::ExpectAResumedRunIsTheWhole(
      [&](const FakeBatches& batches, dist::Collective& alone) {
        return std::make_unique<pretrain::ClassificationTask>(
            options, test::FakeClassificationLoader(batches), nullptr, alone);
      },
      {"encoder", "classifier", "optimizer"});
}

// A classifier that always answers the same recognises one class whole and no other.
TEST(ClassificationTaskTest, BalancedAccuracyIsTheMeanOverTheClassesOfTheSplit) {
  data::DatasetOptions options;
  options.source = "synthetic:dermoscopy?count=60&size=32";
  options.split = data::Split::kValidation;
  options.needs_classes = true;
  const auto validation = data::Dataset::Open(options);
  ASSERT_TRUE(validation.ok());
  dist::LocalCollective alone;
  pretrain::ClassificationTaskOptions settings = test::TinyClassificationOptions(1);
  settings.network.num_classes = 8;
  settings.loss.class_weights.clear();
  settings.validation_batch = 4;
  pretrain::ClassificationTask task(settings, test::FakeClassificationLoader({}), validation->get(),
                                    alone);
  const std::vector<int64_t>& classes = (*validation)->classes().of_image;
  const int64_t answer = classes.front();
  {
    torch::NoGradGuard no_grad;
    for (const auto& [name, tensor, lr_scale] : task.Parameters()) {
      if (name == "classifier.weight") tensor.zero_();
      if (name == "classifier.bias") tensor.zero_()[answer] = 1;
    }
  }

  // The second look is at images that were kept.
  for (int look = 0; look < 2; ++look) {
    const auto scores = task.Validate();
    ASSERT_TRUE(scores.ok());
    ASSERT_EQ(scores->size(), 2U);
    EXPECT_EQ((*scores)[0].first, "val/accuracy");
    EXPECT_DOUBLE_EQ((*scores)[0].second,
                     static_cast<double>(std::count(classes.begin(), classes.end(), answer)) /
                         static_cast<double>(classes.size()));
    EXPECT_EQ((*scores)[1].first, "val/balanced_accuracy");
    EXPECT_DOUBLE_EQ(
        (*scores)[1].second,
        1.0 / static_cast<double>(std::set<int64_t>(classes.begin(), classes.end()).size()));
  }
}

TEST(ClassificationTaskTest, NamesImagesThatAreNotFinite) {
  const auto spoil = [](data::ClassificationBatch& batch) {
    batch.images[5][0][1][2] = std::numeric_limits<float>::quiet_NaN();
  };
  dist::LocalCollective alone;
  pretrain::ClassificationTaskOptions options = test::TinyClassificationOptions(1);
  options.image_id = [](int64_t index) { return "ISIC_" + std::to_string(index); };
  pretrain::ClassificationTask task(
      options, test::Spoiled(test::FakeClassificationLoader({}), spoil), nullptr, alone);
  ASSERT_TRUE(task.LoadBatch({}).ok());
  EXPECT_EQ(task.NonFiniteInput(), "image ISIC_5");
}

TEST(ClassificationTaskTest, WithoutAValidationSplitThereAreNoScores) {
  dist::LocalCollective alone;
  pretrain::ClassificationTask task(test::TinyClassificationOptions(1),
                                    test::FakeClassificationLoader({}), nullptr, alone);
  EXPECT_TRUE(task.Validate()->empty());
}

}  // namespace
}  // namespace g2ll
