#ifndef WORKER_EVALUATE_NETWORK_CONFIG_H_
#define WORKER_EVALUATE_NETWORK_CONFIG_H_

#include <string>

#include "absl/status/statusor.h"
#include "worker/data/loader.h"
#include "worker/model/segmentation_network.h"

namespace g2ll::evaluate {

// What a saved network says about itself: `export_config.json` of a checkpoint,
// `config.json` of an exported model (worker/job/export_config.h lists the keys).
struct NetworkConfig {
  // Only `vit` has a meaning where there is no decoder.
  model::SegmentationOptions network;
  bool has_decoder = false;
  data::InputOptions input;
};

// `json`: the file's text; `name` is what messages call it. A configuration without
// `segmentationDecoder` or `segmentationNorm` is one of an older version: `cup`,
// `batch_norm`. Error: DataLoss, one line that starts with `name` (no such form, a
// missing key, a size out of range, an unknown decoder).
absl::StatusOr<NetworkConfig> ParseNetworkConfig(const std::string& json, const std::string& name);

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_NETWORK_CONFIG_H_
