#include "worker/evaluate/segmenter.h"

#include <torch/torch.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/module_state.h"
#include "worker/checkpoint/tensor_file.h"

namespace g2ll::evaluate {
namespace {

namespace fs = std::filesystem;

// Shape and input of the network, as `export_config.json` has them.
struct NetworkConfig {
  model::SegmentationOptions network;
  data::InputOptions input;
};

absl::StatusOr<NetworkConfig> ReadConfig(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat(path.string(), ": cannot be read"));
  }
  const std::string text(std::istreambuf_iterator<char>(file), {});
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    NetworkConfig config;
    model::VitOptions& vit = config.network.vit;
    json.at("imageSize").get_to(vit.image_size);
    json.at("patch").get_to(vit.patch);
    json.at("dim").get_to(vit.dim);
    json.at("depth").get_to(vit.depth);
    json.at("heads").get_to(vit.heads);
    vit.learned_pos = json.at("positions").get<std::string>() == "learned";
    json.at("segmentationChannels").get_to(config.network.channels);
    config.input.image_size = vit.image_size;
    config.input.patch = vit.patch;
    config.input.imagenet_norm = json.at("norm").get<std::string>() == "imagenet";
    return config;
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(absl::StrCat(path.string(), ": ", error.what()));
  }
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

torch::Tensor Segmenter::Predict(const torch::Tensor& images) {
  const torch::NoGradGuard no_grad;
  return network_->forward(images.to(device_)).to(torch::kCPU, torch::kFloat32);
}

data::LesionMask Segmenter::NativeMask(const torch::Tensor& logits, int height, int width) {
  namespace F = torch::nn::functional;
  const torch::Tensor resized =
      F::interpolate(logits.unsqueeze(0), F::InterpolateFuncOptions()
                                              .size(std::vector<int64_t>{height, width})
                                              .mode(torch::kBilinear)
                                              .align_corners(false));
  const torch::Tensor bytes = (resized.sigmoid() > 0.5).to(torch::kUInt8).mul_(255).contiguous();
  const uint8_t* first = bytes.const_data_ptr<uint8_t>();
  return {height, width, std::vector<uint8_t>(first, first + bytes.numel())};
}

}  // namespace g2ll::evaluate
