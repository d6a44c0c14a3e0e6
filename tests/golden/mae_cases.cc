// mae, mae_step: encoder, decoder and reconstruction loss.
#include <torch/torch.h>

#include "tests/golden/cases.h"
#include "tests/golden/formula.h"
#include "tests/golden/models.h"
#include "worker/loss/reconstruction_loss.h"
#include "worker/model/mae_decoder.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::golden {
namespace {

constexpr int kPatch = 16;

struct Autoencoder {
  model::VitEncoder encoder{model::VitOptions{}};
  model::MaeDecoder decoder{model::MaeDecoderOptions{}};
  StepRecord record;

  explicit Autoencoder(const std::string& salt) {
    FillModule(*encoder, salt);
    FillModule(*decoder, salt);
    record.Add(*encoder);
    record.Add(*decoder);
  }

  torch::Tensor Predict(const torch::Tensor& images, const torch::Tensor& mask) {
    const torch::Tensor visible = PatchIds(mask, false);
    return decoder->predict(decoder->decode(encoder->forward_visible(images, visible), visible));
  }
};

torch::Tensor Masks(GoldenCase& golden, const std::string& key, const mask::MaskOptions& options,
                    const torch::Tensor& labels, int64_t batch) {
  std::vector<torch::Tensor> masks;
  for (int64_t i = 0; i < batch; ++i) {
    masks.push_back(DrawMask(options, labels.defined() ? labels[i] : labels,
                             Uniform(golden.Key(key + std::to_string(i)), {256})));
  }
  return torch::stack(masks);
}

// Every `step`-th patch and every `channel`-th value of it.
torch::Tensor Sparse(const torch::Tensor& patches, int64_t step, int64_t channel) {
  return patches.slice(1, 0, c10::nullopt, step).slice(2, 0, c10::nullopt, channel);
}

void CheckVariant(GoldenCase& golden, const std::string& name, const mask::MaskOptions& options,
                  bool norm_pix) {
  const int64_t batch = golden.config().at("batch");
  const torch::Tensor images = Images(golden.Key(golden.config().at("input")), batch);
  const torch::Tensor labels = golden.Input(name + ".labels");
  const torch::Tensor mask = Masks(golden, "mae/" + name + "/noise/", options, labels, batch);
  golden.Check(name + ".mask", mask);

  Autoencoder model(golden.salt());
  torch::Tensor prediction = model.Predict(images, mask);
  prediction.retain_grad();
  const torch::Tensor loss =
      loss::ReconstructionLoss(prediction, images, PatchIds(mask, true), kPatch, norm_pix);
  loss.backward();
  const torch::Tensor patches = loss::Patchify(images, kPatch);
  const torch::Tensor target = norm_pix ? loss::NormalizePatches(patches) : patches;
  golden.Check(name + ".loss", loss);
  golden.Check(name + ".pred", Sparse(prediction, 17, 8));
  golden.Check(name + ".target", Sparse(target, 51, 8));
  golden.Check(name + ".patch_loss", (prediction - target).square().mean(-1));
  golden.Check(name + ".pred_grad", Sparse(prediction.grad(), 17, 64));
  model.record.CheckGradients(golden, name);
}

}  // namespace

void CheckMae(GoldenCase& golden) {
  CheckVariant(golden, "focal25", {.kind = mask::MaskKind::kSemanticFocal, .gamma = 0.25}, false);
  CheckVariant(golden, "random75", {.kind = mask::MaskKind::kRandom, .gamma = 0.75}, true);
  golden.Check("patchify",
               loss::Patchify(Fill(golden.Key("patchify"), {1, 3, 32, 32}, 1.0), kPatch));
}

void CheckMaeStep(GoldenCase& golden) {
  const auto& config = golden.config();
  const int64_t batch = config.at("batch");
  const torch::Tensor images = Images(golden.Key(config.at("input")), batch);
  Autoencoder model(golden.salt());
  train::AdamW optimizer(model.record.parameters(),
                         {config.at("betas")[0], config.at("betas")[1], config.at("eps")});
  for (int step = 0; step < 2; ++step) {
    const std::string name = "step" + std::to_string(step);
    const torch::Tensor mask = Masks(golden, "mae_step/" + std::to_string(step) + "/noise/",
                                     {.kind = mask::MaskKind::kRandom, .gamma = config.at("gamma")},
                                     torch::Tensor(), batch);
    golden.Check(name + ".mask", mask);
    const torch::Tensor loss = loss::ReconstructionLoss(
        model.Predict(images, mask), images, PatchIds(mask, true), kPatch, config.at("norm_pix"));
    model.record.ZeroGradients();
    loss.backward();
    golden.Check(name + ".loss", loss);
    model.record.CheckGradients(golden, name);
    optimizer.Step(config.at("lr"), config.at("wd"));
    model.record.CheckUpdate(golden, name);
  }
}

}  // namespace g2ll::golden
