#ifndef TESTS_EVALUATE_TINY_SEGMENTER_H_
#define TESTS_EVALUATE_TINY_SEGMENTER_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "worker/model/segmentation_network.h"

namespace g2ll::evaluate::test {

// `export_config.json` of MakeTinyNetwork.
inline constexpr char kTinyConfig[] =
    R"({"imageSize": 32, "patch": 8, "dim": 32, "depth": 1, "heads": 2,
        "positions": "sincos2d", "norm": "imagenet", "segmentationChannels": [16, 8, 8, 4]})";

// A segmentation network of 32 pixels with random weights, ready to predict.
model::SegmentationNetwork MakeTinyNetwork(uint64_t seed);

// Writes it as `g2ll checkpoints export` would, into `folder`, which is made.
void WriteExportedModel(model::SegmentationNetwork network, const std::filesystem::path& folder);

}  // namespace g2ll::evaluate::test

#endif  // TESTS_EVALUATE_TINY_SEGMENTER_H_
