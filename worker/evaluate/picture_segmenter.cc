#include "worker/evaluate/picture_segmenter.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/data/image_codec.h"
#include "worker/data/parallel_for.h"
#include "worker/data/pixel_tensor.h"
#include "worker/data/resize.h"
#include "worker/evaluate/segmenter.h"
#include "worker/metric/overlap.h"

namespace g2ll::evaluate {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::string> ChooseDevice(const std::string& device) {
  const bool has_cuda = torch::cuda::is_available();
  if (device == "cuda" && !has_cuda) {
    return absl::InvalidArgumentError("--device cuda: this machine has no GPU that can be used");
  }
  return device == "cuda" || (device == "auto" && has_cuda) ? "cuda" : "cpu";
}

// One file as it enters the network.
struct ReadPicture {
  int height = 0, width = 0;  // its own size
  data::Image image;          // at the network's
};

absl::StatusOr<ReadPicture> Read(const std::string& path, int side) {
  G2LL_ASSIGN_OR_RETURN(const data::ImageInfo info, data::ReadImageInfo(path));
  G2LL_ASSIGN_OR_RETURN(const data::Image image, data::ReadImage(path, side));
  return ReadPicture{info.height, info.width, data::ResizeImage(image, side, side)};
}

double ShareOfLesion(const data::LesionMask& mask) {
  const auto lesion =
      std::count_if(mask.pixels.begin(), mask.pixels.end(), [](uint8_t v) { return v != 0; });
  return static_cast<double>(lesion) / static_cast<double>(mask.pixels.size());
}

class PictureSegmenterImpl final : public PictureSegmenter {
 public:
  PictureSegmenterImpl(Segmenter segmenter, const PictureOptions& options)
      : segmenter_(std::move(segmenter)),
        norm_(data::MakeNormTable(segmenter_.input().scale)),
        protocol_(options.protocol),
        threads_(std::max(1, options.threads)) {}

  std::vector<absl::StatusOr<SegmentedPicture>> Segment(
      std::span<const std::string> paths) override {
    const int side = segmenter_.input().image_size;
    const int64_t row_size = int64_t{3} * side * side;
    torch::Tensor input =
        torch::zeros({static_cast<int64_t>(paths.size()), 3, side, side}, torch::kFloat32);
    float* rows = input.data_ptr<float>();
    std::vector<absl::StatusOr<ReadPicture>> pictures(paths.size());
    data::ParallelFor(paths.size(), threads_, [&](size_t i) {
      pictures[i] = Read(paths[i], side);
      if (pictures[i].ok()) {
        data::WritePixels(pictures[i]->image, norm_, rows + static_cast<int64_t>(i) * row_size);
      }
    });
    const torch::Tensor logits = segmenter_.Predict(input, protocol_.tta);
    std::vector<absl::StatusOr<SegmentedPicture>> segmented;
    for (size_t i = 0; i < paths.size(); ++i) {
      segmented.push_back(Finish(paths[i], pictures[i], logits[static_cast<int64_t>(i)]));
    }
    return segmented;
  }

 private:
  absl::StatusOr<SegmentedPicture> Finish(const std::string& path,
                                          const absl::StatusOr<ReadPicture>& picture,
                                          const torch::Tensor& logits) const {
    if (!picture.ok()) {
      return picture.status();
    }
    if (!logits.isfinite().all().item<bool>()) {
      return absl::InternalError(
          absl::StrCat(path, ": the network's prediction is not a finite number"));
    }
    SegmentedPicture segmented;
    segmented.mask =
        Segmenter::MaskOf(logits, picture->height, picture->width, protocol_.postprocess);
    segmented.area = ShareOfLesion(segmented.mask);
    segmented.confidence = (2 * logits.sigmoid() - 1).abs().mean().item<double>();
    return segmented;
  }

  Segmenter segmenter_;
  const data::NormTable norm_;
  const Protocol protocol_;
  const int threads_;
};

}  // namespace

MaskScore ScoreMask(const data::LesionMask& mask, const data::LesionMask& truth) {
  TORCH_CHECK(mask.height == truth.height && mask.width == truth.width, "masks differ in size");
  const metric::OverlapCounts counts = metric::CountOverlap(mask.pixels, truth.pixels);
  return {metric::Dice(counts), metric::IoU(counts)};
}

absl::StatusOr<std::unique_ptr<PictureSegmenter>> PictureSegmenter::Load(
    const PictureOptions& options) {
  torch::set_num_threads(std::max(1, options.threads));
  G2LL_ASSIGN_OR_RETURN(const std::string device, ChooseDevice(options.device));
  G2LL_ASSIGN_OR_RETURN(const fs::path directory, ModelDirectory(options.model));
  std::error_code ignored;
  if (fs::exists(directory / checkpoint::kManifestName, ignored)) {
    G2LL_RETURN_IF_ERROR(checkpoint::VerifyCheckpoint(directory));
  }
  G2LL_ASSIGN_OR_RETURN(Segmenter segmenter, Segmenter::Load(directory, device));
  return std::make_unique<PictureSegmenterImpl>(std::move(segmenter), options);
}

}  // namespace g2ll::evaluate
