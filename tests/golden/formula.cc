#include "tests/golden/formula.h"

#include <torch/torch.h>

namespace g2ll::golden {
namespace {

double UniformAt(uint64_t hash, int64_t index) {
  return static_cast<double>(SplitMix64(hash + static_cast<uint64_t>(index)) >> 11) * 0x1.0p-53;
}

struct Rule {
  double scale;
  double base;
};

Rule RuleOf(std::string_view name, size_t dimensions) {
  for (const char* token : {"cls_token", "mask_token", "pos_embed"}) {
    if (name.ends_with(token)) return {0.5, 0};
  }
  if (name.ends_with("weight_g")) return {0, 1};
  if (name.ends_with("weight") && dimensions == 1) return {0.1, 1};
  if (name.ends_with("bias")) return {0.02, 0};
  return {0.05, 0};
}

torch::Device& ChosenDevice() {
  static torch::Device device = torch::kCPU;
  return device;
}

}  // namespace

uint64_t Fnv1a64(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return hash;
}

uint64_t SplitMix64(uint64_t state) {
  uint64_t z = state + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void UseDevice(torch::Device device) { ChosenDevice() = device; }

torch::Device Device() { return ChosenDevice(); }

torch::Tensor Uniform(const std::string& key, const std::vector<int64_t>& shape) {
  torch::Tensor result = torch::empty(shape, torch::kFloat64);
  const uint64_t hash = Fnv1a64(key);
  double* values = result.data_ptr<double>();
  for (int64_t i = 0; i < result.numel(); ++i) values[i] = UniformAt(hash, i);
  return result;
}

torch::Tensor Fill(const std::string& key, const std::vector<int64_t>& shape, double scale,
                   double base) {
  torch::Tensor result = torch::empty(shape, torch::kFloat32);
  const uint64_t hash = Fnv1a64(key);
  float* values = result.data_ptr<float>();
  for (int64_t i = 0; i < result.numel(); ++i) {
    values[i] = static_cast<float>(base + scale * (2 * UniformAt(hash, i) - 1));
  }
  return result.to(Device());
}

torch::Tensor FillParameter(const std::string& salt, const std::string& name,
                            const std::vector<int64_t>& shape) {
  const Rule rule = RuleOf(name, shape.size());
  return Fill(salt + name, shape, rule.scale, rule.base);
}

void FillModule(torch::nn::Module& module, const std::string& salt, const std::string& prefix) {
  torch::NoGradGuard no_grad;
  for (const auto& item : module.named_parameters()) {
    torch::Tensor parameter = item.value();
    parameter.copy_(FillParameter(salt, prefix + item.key(), parameter.sizes().vec()));
  }
  module.to(Device());
}

torch::Tensor Images(const std::string& key, int64_t batch) {
  const torch::Tensor fine = Fill(key + "/fine", {batch, 3, 256, 256}, 0.5);
  const torch::Tensor coarse = Fill(key + "/coarse", {batch, 3, 8, 8}, 1.5);
  return fine + coarse.repeat_interleave(32, 2).repeat_interleave(32, 3);
}

}  // namespace g2ll::golden
