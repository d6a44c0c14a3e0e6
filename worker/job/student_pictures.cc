// Tensors of a training step as the pictures of its report.
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "worker/job/job_report.h"

namespace g2ll::job {
namespace {

// Images in the pictures of a report.
constexpr int64_t kPicturedImages = 4;

report::PatchPlan PlanOf(const pretrain::StudentPreview& preview, int64_t row, int grid) {
  report::PatchPlan plan{grid, grid, {}, {}};
  const data::PretrainBatch& batch = preview.batch;
  if (preview.is_masked) {
    plan.masked.assign(static_cast<size_t>(grid * grid), false);
    const torch::Tensor ids = batch.masked_ids[row].contiguous();
    for (int64_t i = 0; i < ids.numel(); ++i) {
      plan.masked[static_cast<size_t>(ids[i].item<int64_t>())] = true;
    }
  }
  if (batch.regions.defined()) {
    const torch::Tensor regions = batch.regions[row].contiguous();
    const int64_t* first = regions.const_data_ptr<int64_t>();
    plan.regions.assign(first, first + regions.numel());
  }
  return plan;
}

}  // namespace

PictureSampler SamplerForPictures(const TrainingData& training, int64_t seed) {
  data::ShardSampler::Options options;
  options.num_images = training.dataset->size();
  options.global_batch = kPicturedImages;
  options.seed = seed;
  const data::ShardSampler sampler(options);
  const int64_t last_step = std::max<int64_t>(0, training.length.last_step - 1);
  const int64_t steps = sampler.steps_per_epoch();
  return {sampler, training.sampler->epoch(last_step) * steps,
          std::max<int64_t>(
              1, training.length.schedule_steps * steps / training.sampler->steps_per_epoch())};
}

data::Image ImageOf(const torch::Tensor& pixels, const data::PixelScale& scale) {
  const auto channels = [](const std::array<double, 3>& values) {
    return torch::tensor({values[0], values[1], values[2]}, torch::kFloat32).view({3, 1, 1});
  };
  const torch::Tensor bytes =
      ((pixels.to(torch::kFloat32) * channels(scale.deviation) + channels(scale.mean)).clamp(0, 1) *
       255)
          .round()
          .to(torch::kUInt8)
          .permute({1, 2, 0})
          .contiguous();
  const uint8_t* first = bytes.const_data_ptr<uint8_t>();
  return {static_cast<int>(bytes.size(0)), static_cast<int>(bytes.size(1)),
          std::vector<uint8_t>(first, first + bytes.numel())};
}

data::LesionMask MaskOfPixels(const torch::Tensor& is_lesion) {
  const torch::Tensor bytes = (is_lesion.to(torch::kUInt8) * 255).contiguous();
  const uint8_t* first = bytes.const_data_ptr<uint8_t>();
  return {static_cast<int>(bytes.size(1)), static_cast<int>(bytes.size(2)),
          std::vector<uint8_t>(first, first + bytes.numel())};
}

std::vector<report::TrainingPicture> PicturesOf(const pretrain::StudentPreview& preview,
                                                const PreviewInput& input,
                                                const data::Dataset& dataset) {
  const data::PretrainBatch& batch = preview.batch;
  const int grid = static_cast<int>(batch.views.size(2)) / input.patch;
  const int64_t num_views = batch.views.size(0) / batch.num_images;
  std::vector<report::TrainingPicture> pictures;
  for (int64_t image = 0; image < batch.num_images; ++image) {
    report::TrainingPicture picture;
    picture.image = dataset.id(batch.indices[static_cast<size_t>(image)]);
    for (int64_t view = 0; view < num_views; ++view) {
      const int64_t row = view * batch.num_images + image;
      report::StudentView shown{
          ImageOf(batch.views[row], input.scale), PlanOf(preview, row, grid), {}};
      if (preview.reconstructions.defined()) {
        shown.reconstruction = ImageOf(preview.reconstructions[row], input.scale);
      }
      picture.views.push_back(std::move(shown));
    }
    pictures.push_back(std::move(picture));
  }
  return pictures;
}

}  // namespace g2ll::job
