#ifndef WORKER_EVALUATE_SEGMENTER_H_
#define WORKER_EVALUATE_SEGMENTER_H_

#include <torch/types.h>

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "worker/data/image.h"
#include "worker/data/loader.h"
#include "worker/evaluate/protocol.h"
#include "worker/model/segmentation_network.h"

namespace g2ll::evaluate {

// The directory of a model of which that, or the `model.safetensors` in it, is given.
// Errors: NotFound, FailedPrecondition (another file), each one line that says what to name.
absl::StatusOr<std::filesystem::path> ModelDirectory(const std::string& model);

// A trained segmentation network, ready to predict. One thread at a time.
class Segmenter {
 public:
  // Loads a checkpoint directory of a FinetuneJob (`encoder.safetensors`,
  // `segmentation.safetensors`, `export_config.json`) or an exported segmenter
  // (`model.safetensors`, `config.json`) onto `device`. A checkpoint's digests are
  // not compared here: call checkpoint::VerifyCheckpoint first.
  // Errors: FailedPrecondition (another kind of model, or tensors that do not fit;
  // one line), NotFound, DataLoss.
  static absl::StatusOr<Segmenter> Load(const std::filesystem::path& directory,
                                        const std::string& device);

  // Size and normalisation that Predict expects.
  const data::InputOptions& input() const { return input_; }

  // `images` [B,3,S,S] float32, normalised as input() says, on any device ->
  // logits [B,1,S,S] float32 on the CPU; positive is lesion. With Tta::kFlips four
  // passes.
  torch::Tensor Predict(const torch::Tensor& images, Tta tta = Tta::kNone);

  // The lesion at a size of choice: `logits` [1,S,S] of one image, resized bilinearly
  // to height x width (as they are where both are S), where their sigmoid exceeds
  // kLesionThreshold, then postprocessed.
  static data::LesionMask MaskOf(const torch::Tensor& logits, int height, int width,
                                 Postprocess postprocess = Postprocess::kKeep);

 private:
  Segmenter(model::SegmentationNetwork network, data::InputOptions input, torch::Device device);

  model::SegmentationNetwork network_;
  data::InputOptions input_;
  torch::Device device_;
};

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_SEGMENTER_H_
