#ifndef WORKER_MODEL_CLASSIFIER_H_
#define WORKER_MODEL_CLASSIFIER_H_

#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>

#include "worker/model/vit_encoder.h"

namespace g2ll::model {

// Shape of the supervised baseline; the defaults are ViT-S/16 at 256 pixels on
// the eight diagnoses of ISIC 2019.
struct ClassifierOptions {
  VitOptions vit = {.drop_path = 0.1, .learned_pos = true};
  int64_t num_classes = 8;  // C, at least 2
};

// ViT encoder with a linear layer on the class token after the final norm:
// supervised pre-training, the paper's `Supervise` row (method section 5).
//
// Registers `encoder` (a VitEncoder) and `classifier` (`weight` [C,D], `bias`
// [C]): their exported names are the encoder's without a prefix (timm) and
// `classifier.*`. A fresh module's weights mean nothing: see initialization.h.
class ClassifierImpl : public torch::nn::Module {
 public:
  // Throws c10::Error for options that do not fit together.
  explicit ClassifierImpl(const ClassifierOptions& options);

  // `images` [B,3,S,S] float -> logits [B,C]. `keep_scales`: stochastic depth, as in
  // VitEncoder.
  torch::Tensor forward(const torch::Tensor& images, const torch::Tensor& keep_scales = {});

  VitEncoder encoder() const { return encoder_; }
  torch::nn::Linear head() const { return head_; }
  const ClassifierOptions& options() const { return options_; }

 private:
  ClassifierOptions options_;
  VitEncoder encoder_{nullptr};
  torch::nn::Linear head_{nullptr};
};
TORCH_MODULE(Classifier);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_CLASSIFIER_H_
