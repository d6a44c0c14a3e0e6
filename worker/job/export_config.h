#ifndef WORKER_JOB_EXPORT_CONFIG_H_
#define WORKER_JOB_EXPORT_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "worker/data/loader.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::job {

// `export_config.json` of a checkpoint, `config.json` of an exported model: the
// network's shape and how pixels are scaled.
//
// Own keys: `imageSize, patch, dim, depth, heads, positions` (`sincos2d` or
// `learned`), `norm` (`imagenet` or `unit`), `mean, std` [3] of pixels in [0, 1],
// and `segmentationChannels` where there is a segmentation decoder. Beside them
// what timm reads: `architecture, num_classes, global_pool, model_args,
// pretrained_cfg`. `segmentation_channels`: empty for an encoder alone.
std::string ExportConfigJson(const model::VitOptions& encoder, const data::InputOptions& input,
                             const std::vector<int64_t>& segmentation_channels);

}  // namespace g2ll::job

#endif  // WORKER_JOB_EXPORT_CONFIG_H_
