#include "worker/evaluate/network_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "worker/evaluate/pixel_scale_json.h"

namespace g2ll::evaluate {
namespace {

absl::Status Damaged(const std::string& name, std::string_view fault) {
  return absl::DataLossError(absl::StrCat(name, ": ", std::string(fault)));
}

// What one of a job's keys may be (proto/common/spec_ranges.cc).
struct Range {
  const char* key;
  int value;
  int least;
  int most;
};

// The first size that no network can have; empty where all is well. What is in range may
// still be another network than the tensors are of, which is found where they are loaded.
std::string EncoderFault(const model::VitOptions& vit) {
  for (const Range& range :
       {Range{"imageSize", vit.image_size, 8, 4096}, Range{"patch", vit.patch, 1, 256},
        Range{"dim", vit.dim, 4, 8192}, Range{"depth", vit.depth, 1, 128},
        Range{"heads", vit.heads, 1, 128}}) {
    if (range.value < range.least || range.value > range.most) {
      return absl::StrCat(range.key, " is ", range.value, ": it must lie in [", range.least, ", ",
                          range.most, "]");
    }
  }
  if (vit.image_size % vit.patch != 0) {
    return absl::StrCat("imageSize ", vit.image_size, " is no multiple of patch ", vit.patch);
  }
  if (vit.dim % vit.heads != 0 || vit.dim % 4 != 0) {
    return absl::StrCat("dim ", vit.dim, " is no multiple of 4 and of heads ", vit.heads);
  }
  return "";
}

std::string DecoderFault(const model::SegmentationOptions& network) {
  const auto& channels = network.channels;
  if (std::any_of(channels.begin(), channels.end(), [](int64_t c) { return c < 1 || c > 8192; })) {
    return "segmentationChannels: they must lie in [1, 8192]";
  }
  // A patch of at most 256 pixels takes eight doublings.
  if (channels.size() < 2 || channels.size() > 9 ||
      1 << (channels.size() - 1) != network.vit.patch) {
    return absl::StrCat("segmentationChannels has ", channels.size(),
                        " numbers, which do not fit patch ", network.vit.patch);
  }
  return "";
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
    if (const std::string fault = EncoderFault(config.network.vit); !fault.empty()) {
      return Damaged(name, fault);
    }
    config.input.image_size = config.network.vit.image_size;
    config.input.patch = config.network.vit.patch;
    const absl::StatusOr<data::PixelScale> scale = ReadPixelScale(json);
    if (!scale.ok()) return Damaged(name, std::string(scale.status().message()));
    config.input.scale = *scale;
    config.has_decoder = json.contains("segmentationChannels");
    if (!config.has_decoder) return config;
    json.at("segmentationChannels").get_to(config.network.channels);
    if (const std::string fault = DecoderFault(config.network); !fault.empty()) {
      return Damaged(name, fault);
    }
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
