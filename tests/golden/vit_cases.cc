// formula, vit, visible: the fill rule and the encoder's forward pass.
#include <torch/torch.h>

#include <stdexcept>

#include "tests/golden/cases.h"
#include "tests/golden/formula.h"
#include "tests/golden/models.h"
#include "worker/model/transformer_block.h"
#include "worker/model/vit_encoder.h"

namespace g2ll::golden {
namespace {

// Shapes of the parameters that the case names.
std::vector<int64_t> ShapeOf(const std::string& name) {
  if (name == "head.last_layer.weight_v") return {4096, 256};
  const model::VitEncoder encoder(model::VitOptions{.depth = 1});
  const torch::Tensor* parameter = encoder->named_parameters().find(name);
  if (parameter == nullptr) throw std::runtime_error("no shape is known for " + name);
  return parameter->sizes().vec();
}

torch::Tensor EveryNth(const torch::Tensor& tensor, int64_t step) {
  return tensor.slice(-1, 0, c10::nullopt, step);
}

// Sampled rows of [B,t,D].
torch::Tensor Sampled(const torch::Tensor& tokens, const torch::Tensor& ids) {
  return tokens.index_select(1, ids);
}

void CheckLearnedPositions(GoldenCase& golden, const torch::Tensor& images) {
  model::VitEncoder encoder(model::VitOptions{.learned_pos = true});
  FillModule(*encoder, golden.salt());
  golden.Check("cls_learned", encoder->forward(images).select(1, 0));
}

}  // namespace

void CheckFormula(GoldenCase& golden) {
  std::vector<torch::Tensor> heads;
  for (const std::string& name : golden.Rows("first8")) {
    heads.push_back(FillParameter(golden.salt(), name, ShapeOf(name)).reshape(-1).slice(0, 0, 8));
  }
  golden.Check("first8", torch::stack(heads));
  golden.Check("uniform8", Uniform(golden.Key("check"), {8}));
  golden.Check("image_corner",
               Images(golden.Key("input/vit"), 1)[0].slice(1, 30, 34).slice(2, 30, 34));
}

void CheckVit(GoldenCase& golden) {
  torch::NoGradGuard no_grad;
  const torch::Tensor images =
      Images(golden.Key(golden.config().at("input")), golden.config().at("batch"));
  model::VitEncoder encoder{model::VitOptions{}};
  FillModule(*encoder, golden.salt());
  const torch::Tensor ids = golden.Input("token_ids").to(Device(), torch::kInt64);

  const torch::Tensor positions = encoder->named_buffers()["pos_embed"];
  golden.Check("pos_embed_rows",
               positions[0].index_select(0, torch::tensor({1, 2, 17, 137, 256}).to(Device())));
  torch::Tensor tokens = encoder->embed(images);
  const torch::Tensor patch_ids = ids.slice(0, 1) - 1;
  golden.Check("patch_embed", EveryNth(Sampled(tokens - positions.slice(1, 1), patch_ids), 4));

  // The blocks one by one, as the encoder chains them.
  const auto modules = encoder->named_modules();
  const torch::Tensor cls = encoder->named_parameters()["cls_token"] + positions.slice(1, 0, 1);
  tokens = torch::cat({cls.expand({images.size(0), -1, -1}), tokens}, 1);
  for (int i = 0; i < encoder->options().depth; ++i) {
    const std::string index = std::to_string(i);
    tokens = modules["blocks." + index]->as<model::TransformerBlock>()->forward(tokens);
    if (i == 0 || i == 5 || i == 11) {
      golden.Check("block" + index, EveryNth(Sampled(tokens, ids), 4));
    }
  }
  const torch::Tensor output = encoder->forward(images);
  golden.Check("tokens", Sampled(output, ids));
  golden.Check("cls", output.select(1, 0));
  golden.Check("norms", output.norm(2, -1));
  CheckLearnedPositions(golden, images);
}

void CheckVisible(GoldenCase& golden) {
  torch::NoGradGuard no_grad;
  const int64_t batch = golden.config().at("batch");
  const torch::Tensor images = Images(golden.Key(golden.config().at("input")), batch);
  model::VitEncoder encoder{model::VitOptions{}};
  FillModule(*encoder, golden.salt());
  for (const auto& [ratio, gamma] : {std::pair{"25", 0.25}, {"75", 0.75}}) {
    std::vector<torch::Tensor> masks;
    for (int64_t i = 0; i < batch; ++i) {
      const std::string key =
          golden.Key(std::string("visible") + ratio + "/noise/" + std::to_string(i));
      masks.push_back(DrawMask({.kind = mask::MaskKind::kRandom, .gamma = gamma}, torch::Tensor(),
                               Uniform(key, {256})));
    }
    const torch::Tensor mask = torch::stack(masks);
    golden.Check(std::string("mask") + ratio, mask);
    const torch::Tensor visible = PatchIds(mask, false);
    const torch::Tensor latent = encoder->forward_visible(images, visible);
    golden.Check(std::string("cls") + ratio, latent.select(1, 0));
    const torch::Tensor wanted =
        golden.Input(std::string("patch_ids") + ratio).to(Device(), torch::kInt64);
    // The ids are ascending, so a patch's place is found by bisection.
    const torch::Tensor places = torch::searchsorted(visible, wanted).add(1).unsqueeze(-1);
    golden.Check(std::string("tokens") + ratio,
                 latent.gather(1, places.expand({-1, -1, latent.size(2)})));
  }
}

}  // namespace g2ll::golden
