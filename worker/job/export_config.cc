#include "worker/job/export_config.h"

#include <array>
#include <nlohmann/json.hpp>

namespace g2ll::job {

std::string ExportConfigJson(const model::VitOptions& encoder, const data::InputOptions& input,
                             const std::vector<int64_t>& segmentation_channels) {
  const std::array<double, 3> mean =
      input.imagenet_norm ? std::array{0.485, 0.456, 0.406} : std::array{0.0, 0.0, 0.0};
  const std::array<double, 3> deviation =
      input.imagenet_norm ? std::array{0.229, 0.224, 0.225} : std::array{1.0, 1.0, 1.0};
  nlohmann::ordered_json config;
  config["imageSize"] = encoder.image_size;
  config["patch"] = encoder.patch;
  config["dim"] = encoder.dim;
  config["depth"] = encoder.depth;
  config["heads"] = encoder.heads;
  config["positions"] = encoder.learned_pos ? "learned" : "sincos2d";
  config["norm"] = input.imagenet_norm ? "imagenet" : "unit";
  config["mean"] = mean;
  config["std"] = deviation;
  if (!segmentation_channels.empty()) config["segmentationChannels"] = segmentation_channels;

  config["architecture"] = "vit_small_patch16_224";
  config["num_classes"] = 0;
  config["global_pool"] = "token";
  config["model_args"] = {{"img_size", encoder.image_size},
                          {"patch_size", encoder.patch},
                          {"embed_dim", encoder.dim},
                          {"depth", encoder.depth},
                          {"num_heads", encoder.heads}};
  config["pretrained_cfg"] = {{"input_size", {3, encoder.image_size, encoder.image_size}},
                              {"mean", mean},
                              {"std", deviation},
                              {"num_classes", 0}};
  return config.dump(2);
}

}  // namespace g2ll::job
