#ifndef WORKER_MODEL_INITIALIZATION_H_
#define WORKER_MODEL_INITIALIZATION_H_

#include <torch/types.h>

#include <cstdint>

#include "worker/model/classifier.h"
#include "worker/model/mae_decoder.h"
#include "worker/model/projection_head.h"
#include "worker/model/segmentation_network.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::model {

// A generator of its own for initial weights. The modules must be on the CPU when
// they are initialised, so that a seed gives the same weights for every device.
torch::Generator MakeGenerator(uint64_t seed);

// Each function draws every weight from `generator`, in the order of the
// parameters' names, and sets biases to 0 and norms to 1: the same generator
// state gives the same bits. Fixed position tables are left alone.

// Masked autoencoder's rule: Xavier uniform on linear layers and on the patch
// convolution seen as a matrix; class and mask tokens (and learned positions)
// normal with deviation 0.02; the convolution's bias as torch draws it.
void InitializeMae(VitEncoder encoder, torch::Generator generator);
void InitializeMae(MaeDecoder decoder, torch::Generator generator);

// DINO's rule: linear layers, class token and learned positions normal with
// deviation 0.02, the patch convolution as torch draws it.
void InitializeDino(VitEncoder encoder, torch::Generator generator);

// A token [1,1,dim] as both rules draw them.
torch::Tensor DrawToken(int64_t dim, torch::Generator generator);

// Linear layers normal with deviation 0.02; weight_v uniform in
// +-1/sqrt(bottleneck) (1/16 by default), weight_g 1.
void InitializeHead(ProjectionHead head, torch::Generator generator);

// Convolutions as torch draws them: uniform in +-1/sqrt(fan_in), and so the bias of
// the last one; the other biases 0.
void InitializeDecoder(SegmentationDecoder decoder, torch::Generator generator);

// InitializeDino on the encoder; the linear layer normal with deviation 0.02.
void InitializeClassifier(Classifier classifier, torch::Generator generator);

// InitializeMae on the encoder, where there is one, then InitializeDecoder.
void InitializeSegmentation(SegmentationNetwork network, torch::Generator generator);

}  // namespace g2ll::model

#endif  // WORKER_MODEL_INITIALIZATION_H_
