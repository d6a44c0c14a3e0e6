#include "worker/model/classifier.h"

#include <torch/torch.h>

namespace g2ll::model {

ClassifierImpl::ClassifierImpl(const ClassifierOptions& options) : options_(options) {
  TORCH_CHECK(options.num_classes >= 2, "a classifier needs two classes, got ",
              options.num_classes);
  encoder_ = register_module("encoder", VitEncoder(options.vit));
  head_ = register_module("classifier", torch::nn::Linear(options.vit.dim, options.num_classes));
}

torch::Tensor ClassifierImpl::forward(const torch::Tensor& images,
                                      const torch::Tensor& keep_scales) {
  return head_->forward(encoder_->forward(images, keep_scales).select(1, 0));
}

}  // namespace g2ll::model
