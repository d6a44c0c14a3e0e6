#include "client/explain/spec_units.h"

#include <algorithm>
#include <array>
#include <utility>

namespace g2ll::explain {
namespace {

using Entry = std::pair<std::string_view, std::string_view>;

constexpr std::string_view kNone = "none";
constexpr std::string_view kShare = "share, 1 is all";
constexpr std::string_view kProbability = "probability";

constexpr Entry kUnits[] = {
    {"seed", kNone},
    {"data.fraction", "share of the labelled training images"},
    {"data.subsetSeed", kNone},
    {"data.maxImages", "images"},
    {"data.maxValidationImages", "images"},
    {"resources.ranks.min", "ranks"},
    {"resources.ranks.max", "ranks"},
    {"resources.cpusPerRank", "threads per rank"},
    {"resources.memory", "bytes per rank, with Ki, Mi, Gi, K, M or G"},
    {"policy.maxRetries", "restarts"},
    {"policy.maxInfraRetries", "restarts"},
    {"policy.checkpointEvery", "time"},
    {"policy.hangTimeout", "time"},
    {"policy.maxRuntime", "time of one attempt"},
    {"policy.minRuntime", "time of one attempt"},
    {"policy.grace", "time"},
    {"train.epochs", "passes over the data"},
    {"train.updates", "optimiser updates"},
    {"train.globalBatch", "images per update over all ranks"},
    {"train.maxSteps", "optimiser updates"},
    {"train.validateEvery", "optimiser updates"},
    {"train.accumulate", "micro-batches per update"},
    {"model.imageSize", "pixels, each side"},
    {"model.patch", "pixels, each side"},
    {"model.dim", "features"},
    {"model.depth", "blocks"},
    {"model.heads", "attention heads"},
    {"model.headHidden", "features"},
    {"model.headBottleneck", "features"},
    {"model.headOut", "prototypes"},
    {"model.dropPath", kProbability},
    {"model.decoderDepth", "blocks"},
    {"model.decoderDim", "features"},
    {"model.decoderHeads", "attention heads"},
    {"model.segmentationChannels", "channels of each level"},
    {"mask.gamma", "share of the patches"},
    {"mask.beta", "share of the masked patches"},
    {"mask.regions", "regions per image"},
    {"mask.rho", "share of a region's patches"},
    {"mask.topK", "regions"},
    {"mask.attentionShare", kShare},
    {"mask.attentionHint", kShare},
    {"slic.iterations", "iterations"},
    {"slic.compactness", kNone},
    {"slic.minSizePercent", "percent of the mean size of a region"},
    {"mim.lambda", "weight of the loss"},
    {"distill.lambda", "weight of the loss"},
    {"distill.studentTemp", "temperature of the softmax"},
    {"distill.teacherTemp", "temperature of the softmax"},
    {"distill.warmTemp", "temperature of the softmax"},
    {"distill.warmEpochs", "passes over the data"},
    {"distill.centerMomentum", "momentum per update"},
    {"distill.emaStart", "momentum per update"},
    {"distill.emaEnd", "momentum per update"},
    {"distill.freezeEpochs", "passes over the data"},
    {"ibot.lambda", "weight of the loss"},
    {"ibot.teacherTemp", "temperature of the softmax"},
    {"ibot.warmTemp", "temperature of the softmax"},
    {"ibot.warmEpochs", "passes over the data"},
    {"koleo.lambda", "weight of the loss"},
    {"supervised.labelSmoothing", "share of the target"},
    {"optim.lr", "learning rate"},
    {"optim.minLr", "learning rate"},
    {"optim.warmup", "passes over the data"},
    {"optim.warmupShare", "share of the run"},
    {"optim.weightDecay", "per update, times the learning rate"},
    {"optim.weightDecayEnd", "per update, times the learning rate"},
    {"optim.betas", kNone},
    {"optim.clip", "norm of the gradient"},
    {"optim.layerDecay", "factor per block"},
    {"aug.horizontalFlip", kProbability},
    {"aug.verticalFlip", kProbability},
    {"aug.colorJitter", kProbability},
    {"aug.grayscale", kProbability},
    {"aug.blur", kProbability},
    {"aug.blurSecond", kProbability},
    {"aug.cropMinScale", "share of the image's area"},
    {"aug.shiftScaleRotate", kProbability},
    {"aug.noise", kProbability},
    {"aug.brightness", "half width of the factor"},
    {"aug.contrast", "half width of the factor"},
    {"aug.saturation", "half width of the factor"},
    {"aug.hue", "turns of the colour circle"},
    {"aug.solarize", kProbability},
    {"aug.cutmix", kProbability},
    {"seg.ema", "momentum per update"},
};

}  // namespace

std::string_view UnitOf(std::string_view path) {
  const auto* found = std::find_if(std::begin(kUnits), std::end(kUnits),
                                   [&](const Entry& entry) { return entry.first == path; });
  return found == std::end(kUnits) ? "" : found->second;
}

}  // namespace g2ll::explain
