#include "proto/common/spec_defaults.h"

namespace g2ll::spec {

// "P" is the paper (Chen et al., ISBI 2023), followed by its section. "MAE" and
// "DINO" are the recipes that the paper says it follows. "tuned" values of the
// recipe smoke are those that gave the best mask within its time.
const std::vector<Default>& Defaults() {
  static const std::vector<Default> kDefaults = {
      // scope, path, paper, plus, smoke, source
      {kAny, "recipe", "paper", "plus", "smoke", "the recipe itself"},
      {kAny, "seed", "1", "1", "1", "free choice"},
      {kPretrain, "method", "g2ll", "g2ll", "g2ll", "P 2"},

      // The paper and plus need a folder: a long run on made images by accident
      // would waste days.
      {kAny, "data.source", "", "", "synthetic:dermoscopy?count=512&seed=1",
       "the built-in generator"},
      {kTrain, "data.split", "train", "train", "train", "P 3.1"},
      {kEvaluate, "data.split", "test", "test", "test", "P 3.3"},
      {kAny, "data.fraction", "1", "1", "1", "P 3.1, the 100 % column"},
      {kAny, "data.subsetSeed", "1", "1", "1", "free choice"},
      {kPretrain, "data.maxImages", "0", "0", "512", "cap of the recipe smoke"},
      {kFinetune, "data.maxImages", "0", "0", "200", "cap of the recipe smoke"},
      {kEvaluate, "data.maxImages", "0", "0", "100", "cap of the recipe smoke"},
      {kFinetune, "data.maxValidationImages", "0", "0", "100", "cap of the recipe smoke"},
      {kAny, "data.norm", "imagenet", "imagenet", "imagenet", "MAE and DINO, in all phases"},

      {kTrain, "resources.ranks.min", "1", "1", "1", "any cluster can run it"},
      {kTrain, "resources.ranks.max", "4", "4", "2", "divides the batch of every recipe"},
      {kEvaluate, "resources.ranks.min", "1", "1", "1", "an evaluation is one process"},
      {kEvaluate, "resources.ranks.max", "1", "1", "1", "an evaluation is one process"},
      {kAny, "resources.device", "auto", "auto", "auto", "what the worker has"},
      {kAny, "resources.cpusPerRank", "0", "0", "0", "the slot's whole share"},
      {kAny, "resources.memory", "", "", "", "no request"},

      {kAny, "policy.priority", "normal", "normal", "normal", "free choice"},
      {kAny, "policy.maxRetries", "0", "0", "0", "a fault of the job repeats"},
      {kAny, "policy.maxInfraRetries", "20", "20", "20", "faults of hosts do not repeat"},
      {kAny, "policy.preemptible", "true", "true", "true", "a checkpoint saves the work"},
      {kAny, "policy.checkpointEvery", "5m", "5m", "5m", "work at risk against cost"},
      {kAny, "policy.hangTimeout", "", "", "", "unset: automatic, from the step time"},

      {kPretrain, "train.epochs", "300", "300", "0", "P 3.2; smoke counts updates"},
      {kFinetune, "train.epochs", "100", "0", "0", "P 3.2; others count updates"},
      {kPretrain, "train.updates", "0", "0", "250", "four minutes on two cores"},
      {kFinetune, "train.updates", "0", "4000", "500",
       "plus: the same number for every fraction of labels"},
      {kPretrain, "train.globalBatch", "128", "128", "32", "P 3.2"},
      {kFinetune, "train.globalBatch", "16", "16", "16", "P 3.2"},
      {kEvaluate, "train.globalBatch", "16", "16", "16", "memory; no effect on the result"},
      {kTrain, "train.maxSteps", "0", "0", "0", "no early end"},
      {kAny, "train.precision", "auto", "auto", "fp32", "the CPU's own format in smoke"},
      {kFinetune, "train.validateEvery", "0", "100", "100", "paper: once an epoch"},

      {kTrain, "model.imageSize", "256", "256", "64", "P 3.2"},
      {kTrain, "model.patch", "16", "16", "8", "P 3.2, ViT-S/16"},
      {kTrain, "model.dim", "384", "384", "128", "P 3.2, ViT-S/16"},
      {kTrain, "model.depth", "12", "12", "4", "P 3.2, ViT-S/16"},
      {kTrain, "model.heads", "6", "6", "4", "P 3.2, ViT-S/16"},
      {kPretrain, "model.headHidden", "2048", "2048", "512", "P 2.3 follows DINO"},
      {kPretrain, "model.headBottleneck", "256", "256", "64", "P 2.3 follows DINO"},
      {kPretrain, "model.headOut", "65536", "8192", "1024",
       "P 2.3 follows DINO; fewer prototypes suit 25,331 images"},
      {kPretrain, "model.decoderDepth", "2", "2", "1", "P 2.1"},
      {kPretrain, "model.decoderDim", "384", "384", "128", "P 2.1"},
      {kPretrain, "model.decoderHeads", "6", "6", "4", "P 2.1"},
      {kFinetune, "model.segmentationChannels", "512 256 128 64 16", "512 256 128 64 16",
       "128 64 32 16", "P 3.2, TransUNet's decoder without skips"},

      // MAE masks at random and more; DINO's student sees everything.
      {kMae, "mask.strategy", "random", "random", "random", "MAE"},
      {kPretrain, "mask.strategy", "semantic_focal", "semantic_focal", "semantic_focal", "P 2.2"},
      {kMae, "mask.gamma", "0.75", "0.75", "0.75", "MAE"},
      {kDino, "mask.gamma", "0", "0", "0", "DINO has no masks"},
      {kPretrain, "mask.gamma", "0.25", "0.25", "0.25", "P 2.2 and 3.4"},
      {kPretrain, "mask.beta", "0.7", "0.7", "0.7", "P 2.2 and 3.4"},
      {kPretrain, "mask.regions", "8", "8", "8", "P 2.2 and 3.4"},
      {kPretrain, "mask.rho", "0.75", "0.75", "0.75", "every region keeps some context"},

      {kDino, "mim.lambda", "0", "0", "0", "DINO reconstructs nothing"},
      {kPretrain, "mim.lambda", "1", "1", "1", "P 2.3"},
      {kPretrain, "mim.normPix", "false", "true", "false", "P Eq. 3 has raw pixels; plus: MAE"},

      {kMae, "distill.lambda", "0", "0", "0", "MAE distils nothing"},
      {kPretrain, "distill.lambda", "1", "1", "1", "P 2.3"},
      {kDino, "distill.pairs", "cross", "cross", "cross", "DINO"},
      {kPretrain, "distill.pairs", "same", "cross", "same", "P Eq. 5 as written; plus: DINO"},
      {kPretrain, "distill.studentTemp", "0.1", "0.1", "0.1", "P 2.3 follows DINO"},
      {kPretrain, "distill.teacherTemp", "0.04", "0.07", "0.04", "P 2.3 follows DINO"},
      {kPretrain, "distill.warmTemp", "0.04", "0.04", "0.04", "P 2.3 follows DINO"},
      {kPretrain, "distill.warmEpochs", "0", "30", "0", "DINO's longer recipe in plus"},
      {kPretrain, "distill.centerMomentum", "0.9", "0.9", "0.9", "P 2.3 follows DINO"},
      {kPretrain, "distill.emaStart", "0.996", "0.996", "0.98",
       "P 2.3 follows DINO; smoke has too few updates for 0.996"},
      {kPretrain, "distill.emaEnd", "1", "1", "1", "P 2.3 follows DINO"},
      {kPretrain, "distill.freezeEpochs", "1", "1", "1", "P 2.3 follows DINO"},

      {kPretrain, "optim.lr", "0.00015", "0.00015", "0.0005", "P 3.2; smoke tuned"},
      {kFinetune, "optim.lr", "0.0003", "0.0003", "0.001", "P 3.2; smoke tuned"},
      {kTrain, "optim.minLr", "0", "0", "0", "P 3.2, cosine to zero"},
      {kPretrain, "optim.warmup", "40", "40", "2", "P 3.2"},
      {kFinetune, "optim.warmup", "0", "1.6", "1", "plus: 5 % of the run at 2,000 labels"},
      {kPretrain, "optim.weightDecay", "0.05", "0.05", "0.05", "MAE, whose lr the paper has"},
      {kPretrain, "optim.weightDecayEnd", "0.05", "0.05", "0.05", "MAE: constant"},
      {kFinetune, "optim.weightDecay", "0", "0.05", "0", "P 3.2, Adam without decay"},
      {kFinetune, "optim.weightDecayEnd", "0", "0.05", "0", "P 3.2, Adam without decay"},
      {kPretrain, "optim.betas", "0.9 0.95", "0.9 0.95", "0.9 0.95", "MAE"},
      {kFinetune, "optim.betas", "0.9 0.999", "0.9 0.999", "0.9 0.999", "P 3.2, Adam"},
      {kMae, "optim.clip", "0", "0", "0", "MAE clips nothing"},
      {kPretrain, "optim.clip", "3", "3", "3", "DINO, each tensor by itself"},
      {kFinetune, "optim.clip", "0", "0", "0", "P 3.2 has none"},

      {kMae, "aug.horizontalFlip", "0.5", "0.5", "0.5", "MAE"},
      {kTrain, "aug.horizontalFlip", "0.5", "0.5", "0.5", "lesions have no left or right"},
      {kMae | kDino, "aug.verticalFlip", "0", "0", "0", "MAE and DINO"},
      {kTrain, "aug.verticalFlip", "0.5", "0.5", "0.5", "lesions have no top or bottom"},
      {kMae, "aug.colorJitter", "0", "0", "0", "MAE"},
      {kPretrain, "aug.colorJitter", "0.8", "0.8", "0.8", "P 3.2 names it; DINO's share"},
      {kFinetune, "aug.colorJitter", "0", "0", "0", "not in the group's list"},
      {kMae, "aug.grayscale", "0", "0", "0", "MAE"},
      {kPretrain, "aug.grayscale", "0.2", "0.2", "0.2", "P 3.2 names it; DINO's share"},
      {kFinetune, "aug.grayscale", "0", "0", "0", "not in the group's list"},
      {kMae, "aug.blur", "0", "0", "0", "MAE"},
      {kPretrain, "aug.blur", "1", "1", "1", "P 3.2 names it; DINO's first view"},
      {kFinetune, "aug.blur", "0", "0", "0", "not in the group's list"},
      {kMae, "aug.blurSecond", "0", "0", "0", "MAE"},
      {kPretrain, "aug.blurSecond", "0.1", "0.1", "0.1", "P 3.2; DINO's second view"},
      {kFinetune, "aug.blurSecond", "0", "0", "0", "one view only"},
      {kMae, "aug.cropMinScale", "0.2", "0.2", "1", "MAE; no crop at 64 pixels"},
      {kDino, "aug.cropMinScale", "0.14", "0.14", "1", "DINO without local crops"},
      {kPretrain, "aug.cropMinScale", "0.4", "0.4", "1", "DINO's global crops"},
      {kFinetune, "aug.cropMinScale", "1", "1", "1", "not in the group's list"},
      {kPretrain, "aug.shiftScaleRotate", "0", "0", "0", "fine-tuning only"},
      {kFinetune, "aug.shiftScaleRotate", "0.5", "0.5", "0.5", "the group's list"},
      {kPretrain, "aug.noise", "0", "0", "0", "fine-tuning only"},
      {kFinetune, "aug.noise", "0.5", "0.5", "0.5", "the group's list"},

      {kFinetune, "init.from", "none", "none", "none", "P 3.3, random initialisation"},
      {kFinetune, "seg.select", "last", "best", "best", "P 3.2 has no selection"},
      {kFinetune, "seg.encoder", "student", "teacher", "student",
       "P 3.2 loads the pre-trained ViT-S/16; plus: DINO's teacher"},
      {kFinetune, "seg.freezeEncoder", "false", "false", "false", "P 3.2"},
  };
  return kDefaults;
}

}  // namespace g2ll::spec
