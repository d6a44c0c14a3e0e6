#ifndef WORKER_JOB_EXPORT_CONFIG_H_
#define WORKER_JOB_EXPORT_CONFIG_H_

#include <string>

#include "worker/data/loader.h"
#include "worker/model/segmentation_network.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::job {

// `export_config.json` of a checkpoint, `config.json` of an exported model: the
// network's shape and how pixels are scaled.
//
// Own keys: `imageSize, patch, dim, depth, heads, positions` (`sincos2d` or
// `learned`), `norm` (`imagenet`, `unit` or `dataset`), `mean, std` [3] of pixels in
// [0, 1], and where there is a segmentation decoder `segmentationChannels`,
// `segmentationDecoder` and `segmentationNorm` (as in a job file). Beside them what timm
// reads: `architecture, num_classes, global_pool, model_args, pretrained_cfg`.
// evaluate::ParseNetworkConfig is the reader.
std::string ExportConfigJson(const model::VitOptions& encoder, const data::InputOptions& input);
std::string ExportConfigJson(const model::SegmentationOptions& network,
                             const data::InputOptions& input);

}  // namespace g2ll::job

#endif  // WORKER_JOB_EXPORT_CONFIG_H_
