// Parameters and checkpoints of PretrainTask.
#include <torch/torch.h>

#include <filesystem>

#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/module_state.h"
#include "worker/checkpoint/tensor_file.h"
#include "worker/pretrain/pretrain_task.h"

namespace g2ll::pretrain {
namespace {

// The head's names start with this in the optimiser and in its files.
constexpr char kHeadPrefix[] = "head.";
// A name of its own: the decoder has a `mask_token` too.
constexpr char kMaskToken[] = "encoder_mask_token";

void AddParameters(torch::nn::Module& module, const std::string& prefix,
                   std::vector<train::NamedParameter>& parameters) {
  for (const auto& entry : module.named_parameters()) {
    if (entry.value().requires_grad()) parameters.push_back({prefix + entry.key(), entry.value()});
  }
}

}  // namespace

std::vector<train::NamedParameter> PretrainTask::Parameters() {
  std::vector<train::NamedParameter> parameters;
  AddParameters(*encoder_, "", parameters);
  if (mask_token_.defined()) parameters.push_back({kMaskToken, mask_token_});
  if (decoder_) AddParameters(*decoder_, "", parameters);
  if (head_) AddParameters(*head_, kHeadPrefix, parameters);
  return parameters;
}

std::vector<PretrainTask::StateFile> PretrainTask::StateFiles() const {
  std::vector<StateFile> files = {{"encoder.safetensors", checkpoint::StateOf(*encoder_)}};
  if (mask_token_.defined()) {
    files.push_back({"encoder_mask_token.safetensors", {{kMaskToken, mask_token_}}});
  }
  if (decoder_) files.push_back({"decoder.safetensors", checkpoint::StateOf(*decoder_)});
  if (!teacher_) return files;
  files.push_back({"head.safetensors", checkpoint::StateOf(*head_, kHeadPrefix)});
  files.push_back({"teacher_encoder.safetensors", checkpoint::StateOf(*teacher_->encoder())});
  // The centres' tensors are written in place like all the others.
  checkpoint::NamedTensors teacher_head = checkpoint::StateOf(*teacher_->head(), kHeadPrefix);
  if (center_) teacher_head.emplace_back("center", center_->value());
  if (patch_center_) teacher_head.emplace_back("patch_center", patch_center_->value());
  files.push_back({"teacher_head.safetensors", teacher_head});
  return files;
}

absl::Status PretrainTask::SaveState(checkpoint::CheckpointWriter& writer) const {
  for (const auto& [name, tensors] : StateFiles()) {
    G2LL_RETURN_IF_ERROR(checkpoint::SaveTensors(writer.directory() / name, tensors));
  }
  return absl::OkStatus();
}

absl::Status PretrainTask::LoadState(const std::string& directory) {
  for (const auto& [name, into] : StateFiles()) {
    G2LL_RETURN_IF_ERROR(checkpoint::LoadStateFile(into, std::filesystem::path(directory) / name));
  }
  return absl::OkStatus();
}

}  // namespace g2ll::pretrain
