#include "worker/job/export_config.h"

#include <nlohmann/json.hpp>

namespace g2ll::job {
namespace {

// `segmentation`: null for an encoder alone.
std::string Describe(const model::VitOptions& encoder, const data::InputOptions& input,
                     const model::SegmentationOptions* segmentation) {
  nlohmann::ordered_json config;
  config["imageSize"] = encoder.image_size;
  config["patch"] = encoder.patch;
  config["dim"] = encoder.dim;
  config["depth"] = encoder.depth;
  config["heads"] = encoder.heads;
  config["positions"] = encoder.learned_pos ? "learned" : "sincos2d";
  config["norm"] = data::NameOf(input.scale);
  config["mean"] = input.scale.mean;
  config["std"] = input.scale.deviation;
  if (segmentation != nullptr) {
    config["segmentationChannels"] = segmentation->channels;
    config["segmentationDecoder"] = model::NameOf(segmentation->decoder);
    config["segmentationNorm"] = model::NameOf(segmentation->norm);
  }

  config["architecture"] = "vit_small_patch16_224";
  config["num_classes"] = 0;
  config["global_pool"] = "token";
  config["model_args"] = {{"img_size", encoder.image_size},
                          {"patch_size", encoder.patch},
                          {"embed_dim", encoder.dim},
                          {"depth", encoder.depth},
                          {"num_heads", encoder.heads}};
  config["pretrained_cfg"] = {{"input_size", {3, encoder.image_size, encoder.image_size}},
                              {"mean", input.scale.mean},
                              {"std", input.scale.deviation},
                              {"num_classes", 0}};
  return config.dump(2);
}

}  // namespace

std::string ExportConfigJson(const model::VitOptions& encoder, const data::InputOptions& input) {
  return Describe(encoder, input, nullptr);
}

std::string ExportConfigJson(const model::SegmentationOptions& network,
                             const data::InputOptions& input) {
  return Describe(network.vit, input, &network);
}

}  // namespace g2ll::job
