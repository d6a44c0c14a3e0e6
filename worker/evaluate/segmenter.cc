#include "worker/evaluate/segmenter.h"

#include <torch/torch.h>

#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/module_state.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/evaluate/network_config.h"
#include "worker/evaluate/postprocess.h"

namespace g2ll::evaluate {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<NetworkConfig> ReadConfig(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat(path.string(), ": cannot be read"));
  }
  G2LL_ASSIGN_OR_RETURN(
      NetworkConfig config,
      ParseNetworkConfig(std::string(std::istreambuf_iterator<char>(file), {}), path.string()));
  if (!config.has_decoder) {
    return absl::DataLossError(absl::StrCat(path.string(), ": segmentationChannels is missing"));
  }
  return config;
}

// The network's tensors from one file or two.
absl::StatusOr<checkpoint::TensorMap> ReadTensors(const fs::path& directory, bool is_exported) {
  if (is_exported) {
    return checkpoint::LoadTensors(directory / "model.safetensors");
  }
  G2LL_ASSIGN_OR_RETURN(checkpoint::TensorMap tensors,
                        checkpoint::LoadTensors(directory / "encoder.safetensors"));
  G2LL_ASSIGN_OR_RETURN(checkpoint::TensorMap decoder,
                        checkpoint::LoadTensors(directory / "segmentation.safetensors"));
  tensors.merge(decoder);
  return tensors;
}

}  // namespace

absl::StatusOr<fs::path> ModelDirectory(const std::string& model) {
  const fs::path path(model);
  std::error_code ignored;  // what cannot be looked at is not there
  if (fs::is_directory(path, ignored)) {
    return path;
  }
  if (!fs::exists(path, ignored)) {
    return absl::NotFoundError(absl::StrCat(
        model, ": no such file or folder; name a checkpoint directory or an exported model"));
  }
  if (path.filename() != "model.safetensors") {
    return absl::FailedPreconditionError(
        absl::StrCat(model,
                     ": is neither a checkpoint directory nor the model.safetensors of an "
                     "exported segmenter"));
  }
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

absl::StatusOr<Segmenter> Segmenter::Load(const fs::path& directory, const std::string& device) {
  std::error_code ignored;  // what cannot be looked at is not there
  const bool is_exported = fs::exists(directory / "model.safetensors", ignored);
  if (!is_exported && !fs::exists(directory / "segmentation.safetensors", ignored)) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory.string(),
                     " holds no segmentation network: name a checkpoint of a FinetuneJob or an "
                     "exported segmenter"));
  }
  const char* config_name = is_exported ? "config.json" : "export_config.json";
  G2LL_ASSIGN_OR_RETURN(const NetworkConfig config, ReadConfig(directory / config_name));
  G2LL_ASSIGN_OR_RETURN(const checkpoint::TensorMap tensors, ReadTensors(directory, is_exported));

  model::SegmentationNetwork network(config.network);
  checkpoint::NamedTensors state = network->encoder_state();
  for (auto& entry : network->segmentation_state()) {
    state.push_back(std::move(entry));
  }
  G2LL_RETURN_IF_ERROR(checkpoint::LoadState(state, tensors, directory.string()));
  const torch::Device place(device);
  network->to(place);
  network->eval();
  return Segmenter(std::move(network), config.input, place);
}

Segmenter::Segmenter(model::SegmentationNetwork network, data::InputOptions input,
                     torch::Device device)
    : network_(std::move(network)), input_(input), device_(device) {}

torch::Tensor Segmenter::Predict(const torch::Tensor& images, Tta tta) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor input = images.to(device_);
  torch::Tensor logits = network_->forward(input).to(torch::kFloat32);
  if (tta == Tta::kFlips) {
    for (const std::vector<int64_t>& axes : {std::vector<int64_t>{3}, {2}, {2, 3}}) {
      logits += network_->forward(input.flip(axes)).flip(axes).to(torch::kFloat32);
    }
    logits /= 4;
  }
  return logits.to(torch::kCPU);
}

data::LesionMask Segmenter::MaskOf(const torch::Tensor& logits, int height, int width,
                                   Postprocess postprocess) {
  namespace F = torch::nn::functional;
  const torch::Tensor resized =
      F::interpolate(logits.unsqueeze(0), F::InterpolateFuncOptions()
                                              .size(std::vector<int64_t>{height, width})
                                              .mode(torch::kBilinear)
                                              .align_corners(false));
  const torch::Tensor bytes =
      (resized.sigmoid() > kLesionThreshold).to(torch::kUInt8).mul_(255).contiguous();
  const uint8_t* first = bytes.const_data_ptr<uint8_t>();
  data::LesionMask mask{height, width, std::vector<uint8_t>(first, first + bytes.numel())};
  if (postprocess == Postprocess::kLargestComponent) {
    KeepLargestComponent(mask);
  }
  return mask;
}

}  // namespace g2ll::evaluate
