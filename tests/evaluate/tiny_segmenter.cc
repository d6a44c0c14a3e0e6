#include "tests/evaluate/tiny_segmenter.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>

#include "worker/checkpoint/tensor_file.h"
#include "worker/model/initialization.h"

namespace g2ll::evaluate::test {

model::SegmentationNetwork MakeTinyNetwork(uint64_t seed) {
  model::SegmentationOptions options;
  options.vit = {.image_size = 32, .patch = 8, .dim = 32, .depth = 1, .heads = 2};
  options.channels = {16, 8, 8, 4};
  model::SegmentationNetwork network(options);
  torch::Generator generator = model::MakeGenerator(seed);
  model::InitializeSegmentation(network, generator);
  network->eval();
  return network;
}

void WriteExportedModel(model::SegmentationNetwork network, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  checkpoint::NamedTensors tensors = network->encoder_state();
  for (const auto& entry : network->segmentation_state()) tensors.push_back(entry);
  ASSERT_TRUE(checkpoint::SaveTensors(folder / "model.safetensors", tensors).ok());
  std::ofstream(folder / "config.json") << kTinyConfig;
}

}  // namespace g2ll::evaluate::test
