#include "worker/pretrain/preview.h"

#include <torch/torch.h>

#include <utility>

#include "worker/loss/reconstruction_loss.h"
#include "worker/pretrain/pretrain_task.h"

namespace g2ll::pretrain {

torch::Tensor FillMasked(const torch::Tensor& views, const torch::Tensor& predictions,
                         const torch::Tensor& masked_ids, int patch, bool norm_pix) {
  const torch::Tensor patches = loss::Patchify(views.to(torch::kFloat32), patch);
  torch::Tensor pixels = predictions.to(torch::kFloat32);
  if (norm_pix) pixels = loss::UndoNormalization(pixels, patches);
  const torch::Tensor ids = masked_ids.unsqueeze(-1).expand({-1, -1, patches.size(2)});
  return loss::Unpatchify(patches.scatter(1, ids, pixels.gather(1, ids)), patch, /*channels=*/3);
}

StudentPreview PretrainTask::Preview(data::PretrainBatch batch) {
  torch::NoGradGuard no_grad;
  batch_ = std::move(batch);
  keep_scales_ = torch::Tensor();
  if (options_.attention_mask) {
    MaskByAttention(
        teacher_->Tokens(batch_.views.to(options_.device, options_.dtype), true).attention,
        /*first_row=*/0);
  }
  StudentPreview preview;
  preview.is_masked = options_.student_input != StudentInput::kAll;
  if (decoder_) {
    const Rows rows = RowsOf({0, batch_.num_images});
    const torch::Tensor predictions = decoder_->predict(DecodedTokens(Encode(rows), rows));
    preview.reconstructions = FillMasked(rows.views, predictions, rows.masked_ids,
                                         options_.encoder.patch, options_.mim->norm_pix)
                                  .to(torch::kCPU);
  }
  preview.batch = batch_;
  return preview;
}

}  // namespace g2ll::pretrain
