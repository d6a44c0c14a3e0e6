#include "proto/common/spec_pretrain_checks.h"

#include "absl/strings/str_cat.h"
#include "proto/common/spec_field.h"

namespace g2ll::spec {
namespace {

void CheckLosses(const v1::PretrainSpec& spec, const FaultSink& faults) {
  const v1::ModelSpec& model = spec.model();
  if (faults.is_good({"model.decoderDim", "model.decoderHeads"}) &&
      (model.decoder_dim() % model.decoder_heads() != 0 || model.decoder_dim() % 4 != 0)) {
    faults.add(
        "model.decoderDim", absl::StrCat(model.decoder_dim()),
        absl::StrCat("a multiple of model.decoderHeads ", model.decoder_heads(), " and of 4"));
  }
  if (spec.method() == v1::PretrainSpec::MAE && spec.distill().lambda() > 0) {
    faults.add(
        "distill.lambda", NumberText(spec.distill().lambda()),
        "0 with method mae, which has no self-distillation; use method g2ll for both losses");
  }
  if (spec.method() == v1::PretrainSpec::DINO && spec.mim().lambda() > 0) {
    faults.add("mim.lambda", NumberText(spec.mim().lambda()),
               "0 with method dino, which reconstructs nothing; use method g2ll for both losses");
  }
  if (spec.mim().lambda() == 0 && spec.distill().lambda() == 0) {
    faults.add("mim.lambda", "0", "above 0 where distill.lambda is 0: one loss must be left");
  }
  if (spec.mask().strategy() == v1::MaskSpec::ATTMASK && spec.distill().lambda() == 0) {
    faults.add("mask.strategy", "attmask",
               "another strategy where distill.lambda is 0: attention is the teacher's");
  }
}

void CheckPatchDistillation(const v1::PretrainSpec& spec, const FaultSink& faults) {
  if (!(spec.ibot().lambda() > 0)) return;
  if (spec.distill().lambda() == 0) {
    faults.add(
        "ibot.lambda", NumberText(spec.ibot().lambda()),
        "0 where distill.lambda is 0: patches are distilled through the same head and teacher");
  } else if (spec.ibot().source() == v1::IbotSpec::DECODER && spec.mim().lambda() == 0) {
    faults.add("ibot.source", "decoder", "encoder where mim.lambda is 0: there is no decoder");
  } else if (spec.ibot().source() == v1::IbotSpec::DECODER &&
             spec.model().decoder_dim() != spec.model().dim()) {
    faults.add("model.decoderDim", absl::StrCat(spec.model().decoder_dim()),
               absl::StrCat("model.dim, which is ", spec.model().dim(),
                            ", where ibot.source is decoder: both go through one head"));
  } else if (spec.ibot().source() == v1::IbotSpec::ENCODER &&
             spec.mask().student_input() != v1::MaskSpec::MASK_TOKEN_ALL) {
    faults.add(
        "ibot.source", "encoder",
        "decoder, unless mask.studentInput is mask_token_all: the encoder sees no masked patch");
  }
}

void CheckPatches(const v1::PretrainSpec& spec, const FaultSink& faults) {
  const v1::MaskSpec& mask = spec.mask();
  const v1::ModelSpec& model = spec.model();
  if (!faults.is_good({"model.imageSize", "model.patch"})) return;
  const int grid = model.image_size() / model.patch();
  const int patches = grid * grid;
  if (faults.is_good({"mask.regions"}) && mask.regions() > patches) {
    faults.add("mask.regions", absl::StrCat(mask.regions()),
               absl::StrCat("at most ", patches, ", the patches of an image"));
  }
  // As many as the masks will have: n less the visible ones, rounded down.
  const int masked = patches - static_cast<int>(patches * (1 - mask.gamma()));
  const char* loss = spec.mim().lambda() > 0    ? "mim.lambda"
                     : spec.ibot().lambda() > 0 ? "ibot.lambda"
                                                : nullptr;
  if (loss != nullptr && faults.is_good({"mask.gamma", loss}) && masked < 1) {
    faults.add("mask.gamma", NumberText(mask.gamma()),
               absl::StrCat("at least ", NumberText(1.0 / patches), " where ", loss,
                            " is above 0: one patch must be masked"));
  }
}

void CheckMaskChoices(const v1::MaskSpec& mask, const FaultSink& faults) {
  const bool has_regions =
      mask.strategy() == v1::MaskSpec::SEMANTIC || mask.strategy() == v1::MaskSpec::SEMANTIC_FOCAL;
  if (mask.curriculum() == v1::MaskSpec::INTRA_TO_INTER && !has_regions) {
    faults.add("mask.curriculum", "intra_to_inter",
               "constant, unless mask.strategy is semantic or semantic_focal: it needs regions");
  }
  if (mask.shared() && mask.strategy() == v1::MaskSpec::ATTMASK) {
    faults.add("mask.shared", "true",
               "false with mask.strategy attmask: each view's mask follows its own attention");
  }
  if (mask.central() == v1::MaskSpec::TOP_K && faults.is_good({"mask.topK", "mask.regions"}) &&
      mask.top_k() > mask.regions()) {
    faults.add("mask.topK", absl::StrCat(mask.top_k()),
               absl::StrCat("at most mask.regions, which is ", mask.regions()));
  }
}

}  // namespace

void CheckPretrainSpec(const v1::PretrainSpec& spec, const FaultSink& faults) {
  // A classifier has neither masks nor these losses.
  if (spec.method() == v1::PretrainSpec::SUPERVISED) return;
  CheckLosses(spec, faults);
  CheckPatchDistillation(spec, faults);
  CheckPatches(spec, faults);
  CheckMaskChoices(spec.mask(), faults);
}

}  // namespace g2ll::spec
