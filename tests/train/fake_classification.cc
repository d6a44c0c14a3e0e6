#include "tests/train/fake_classification.h"

#include <torch/torch.h>

namespace g2ll::test {
namespace {

constexpr int64_t kNumClasses = 3;

// Half of the images are of class 0, an eighth of class 2.
int64_t ClassOf(int64_t index) { return index % 8 == 5 ? 2 : index % 2; }

class FakeClassification final : public data::ClassificationLoader {
 public:
  explicit FakeClassification(const FakeBatches& batches)
      : batches_(batches),
        step_(batches.first_step),
        images_(DiscImages(batches.num_images, batches.image_size)) {}

  absl::StatusOr<data::ClassificationBatch> Next() override {
    data::ClassificationBatch batch;
    batch.global_class_counts.assign(kNumClasses, 0);
    for (const int64_t index : GlobalIndices(batches_, step_)) {
      ++batch.global_class_counts[static_cast<size_t>(ClassOf(index))];
    }
    batch.indices = RankIndices(batches_, step_);
    std::vector<int64_t> classes;
    for (const int64_t index : batch.indices) classes.push_back(ClassOf(index));
    batch.images = images_.index_select(0, torch::tensor(batch.indices));
    batch.classes = torch::tensor(classes);
    batch.epoch = EpochOf(batches_, step_++);
    return batch;
  }

 private:
  FakeBatches batches_;
  int64_t step_;
  torch::Tensor images_;
};

}  // namespace

std::unique_ptr<data::ClassificationLoader> FakeClassificationLoader(const FakeBatches& batches) {
  return std::make_unique<FakeClassification>(batches);
}

pretrain::ClassificationTaskOptions TinyClassificationOptions(int64_t total_steps) {
  pretrain::ClassificationTaskOptions options;
  options.network.vit = {.image_size = 16,
                         .patch = 4,
                         .dim = 32,
                         .depth = 2,
                         .heads = 2,
                         .drop_path = 0.1,
                         .learned_pos = true};
  options.network.num_classes = kNumClasses;
  options.loss.class_weights = {0.8, 0.9, 1.6};
  options.loss.label_smoothing = 0.1;
  options.lr = {3e-3, 3e-3, 0, total_steps};
  options.weight_decay = {0.05, 0.05, total_steps};
  options.input = {16, 4, data::kImagenetScale};
  options.seed = 3;
  return options;
}

}  // namespace g2ll::test
