#include "worker/model/initialization.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <string>
#include <string_view>

namespace g2ll::model {
namespace {

constexpr double kTokenDeviation = 0.02;

// Inputs of one output of a linear layer or a convolution.
int64_t FanIn(const torch::Tensor& weight) { return weight.numel() / weight.size(0); }

// Bound of Xavier's uniform distribution on the weight as a matrix [out, fan_in].
double XavierBound(const torch::Tensor& weight) {
  return std::sqrt(6.0 / static_cast<double>(weight.size(0) + FanIn(weight)));
}

// Bound of the uniform distribution that torch draws for weights and biases.
double TorchBound(const torch::Tensor& weight) {
  return 1 / std::sqrt(static_cast<double>(FanIn(weight)));
}

void DrawUniform(torch::Tensor tensor, double bound, const torch::Generator& generator) {
  tensor.uniform_(-bound, bound, generator);
}

// DINO cuts its normal distribution at +-2, a hundred deviations away: no draw
// ever gets there, so this is the same distribution.
void DrawNormal(torch::Tensor tensor, const torch::Generator& generator) {
  tensor.normal_(0, kTokenDeviation, generator);
}

bool EndsWith(std::string_view name, std::string_view suffix) { return name.ends_with(suffix); }

// Applies to each parameter the rule that all modules share for vectors (norm
// weights 1, biases 0) and hands the other ones to `draw(name, parameter)`.
void ForEachWeight(const torch::nn::Module& module,
                   const std::function<void(const std::string&, torch::Tensor)>& draw) {
  torch::NoGradGuard no_grad;
  for (const auto& item : module.named_parameters()) {
    TORCH_CHECK(item.value().is_cpu(), item.key(), " is not on the CPU");
    if (item.value().dim() > 1) {
      draw(item.key(), item.value());
    } else {
      item.value().fill_(EndsWith(item.key(), "weight") ? 1 : 0);
    }
  }
}

void DrawPatchBias(const VitEncoder& encoder, const torch::Generator& generator) {
  torch::NoGradGuard no_grad;
  const auto parameters = encoder->named_parameters();
  DrawUniform(parameters["patch_embed.proj.bias"],
              TorchBound(parameters["patch_embed.proj.weight"]), generator);
}

bool IsToken(const std::string& name) {
  return name == "cls_token" || name == "mask_token" || name == "pos_embed";
}

void DrawMae(const torch::nn::Module& module, const torch::Generator& generator) {
  ForEachWeight(module, [&](const std::string& name, const torch::Tensor& weight) {
    if (IsToken(name)) {
      DrawNormal(weight, generator);
    } else {
      DrawUniform(weight, XavierBound(weight), generator);
    }
  });
}

}  // namespace

torch::Generator MakeGenerator(uint64_t seed) { return at::detail::createCPUGenerator(seed); }

void InitializeMae(VitEncoder encoder, torch::Generator generator) {
  DrawMae(*encoder, generator);
  DrawPatchBias(encoder, generator);
}

void InitializeMae(MaeDecoder decoder, torch::Generator generator) { DrawMae(*decoder, generator); }

void InitializeDino(VitEncoder encoder, torch::Generator generator) {
  ForEachWeight(*encoder, [&](const std::string& name, const torch::Tensor& weight) {
    if (name == "patch_embed.proj.weight") {
      DrawUniform(weight, TorchBound(weight), generator);
    } else {
      DrawNormal(weight, generator);
    }
  });
  DrawPatchBias(encoder, generator);
}

torch::Tensor DrawToken(int64_t dim, torch::Generator generator) {
  torch::Tensor token = torch::empty({1, 1, dim});
  DrawNormal(token, generator);
  return token;
}

void InitializeHead(ProjectionHead head, torch::Generator generator) {
  ForEachWeight(*head, [&](const std::string& name, torch::Tensor weight) {
    if (EndsWith(name, "weight_g")) {
      weight.fill_(1);
    } else if (EndsWith(name, "weight_v")) {
      DrawUniform(weight, TorchBound(weight), generator);
    } else {
      DrawNormal(weight, generator);
    }
  });
}

void InitializeClassifier(Classifier classifier, torch::Generator generator) {
  InitializeDino(classifier->encoder(), generator);
  ForEachWeight(*classifier->head(), [&](const std::string&, const torch::Tensor& weight) {
    DrawNormal(weight, generator);
  });
}

void InitializeDecoder(SegmentationDecoder decoder, torch::Generator generator) {
  ForEachWeight(*decoder, [&](const std::string&, const torch::Tensor& weight) {
    DrawUniform(weight, TorchBound(weight), generator);
  });
  torch::NoGradGuard no_grad;
  const auto parameters = decoder->named_parameters();
  DrawUniform(parameters["head.bias"], TorchBound(parameters["head.weight"]), generator);
}

void InitializeSegmentation(SegmentationNetwork network, torch::Generator generator) {
  if (network->encoder()) InitializeMae(network->encoder(), generator);
  InitializeDecoder(network->decoder(), generator);
}

}  // namespace g2ll::model
