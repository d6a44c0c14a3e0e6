#include "worker/evaluate/network_config.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "worker/evaluate/pixel_scale_json.h"

namespace g2ll::evaluate {
namespace {

absl::Status Damaged(const std::string& name, std::string_view fault) {
  return absl::DataLossError(absl::StrCat(name, ": ", std::string(fault)));
}

// Throws nlohmann::json::exception.
model::VitOptions ReadEncoder(const nlohmann::json& json) {
  model::VitOptions vit;
  json.at("imageSize").get_to(vit.image_size);
  json.at("patch").get_to(vit.patch);
  json.at("dim").get_to(vit.dim);
  json.at("depth").get_to(vit.depth);
  json.at("heads").get_to(vit.heads);
  vit.learned_pos = json.at("positions").get<std::string>() == "learned";
  return vit;
}

}  // namespace

absl::StatusOr<NetworkConfig> ParseNetworkConfig(const std::string& text, const std::string& name) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    NetworkConfig config;
    config.network.vit = ReadEncoder(json);
    config.input.image_size = config.network.vit.image_size;
    config.input.patch = config.network.vit.patch;
    const absl::StatusOr<data::PixelScale> scale = ReadPixelScale(json);
    if (!scale.ok()) return Damaged(name, std::string(scale.status().message()));
    config.input.scale = *scale;
    config.has_decoder = json.contains("segmentationChannels");
    if (!config.has_decoder) return config;
    json.at("segmentationChannels").get_to(config.network.channels);
    const std::string decoder = json.value("segmentationDecoder", "cup");
    const std::string norm = json.value("segmentationNorm", "batch_norm");
    const std::optional<model::DecoderKind> kind = model::DecoderNamed(decoder);
    const std::optional<model::NormLayer> layer = model::NormLayerNamed(norm);
    if (!kind) return Damaged(name, absl::StrCat("segmentationDecoder ", decoder, " is unknown"));
    if (!layer) return Damaged(name, absl::StrCat("segmentationNorm ", norm, " is unknown"));
    config.network.decoder = *kind;
    config.network.norm = *layer;
    return config;
  } catch (const nlohmann::json::exception& error) {
    return Damaged(name, error.what());
  }
}

}  // namespace g2ll::evaluate
