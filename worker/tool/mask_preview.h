#ifndef WORKER_TOOL_MASK_PREVIEW_H_
#define WORKER_TOOL_MASK_PREVIEW_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/mask/mask_strategy.h"

namespace g2ll::tool {

struct PreviewOptions {
  std::vector<std::string> images;  // files and folders
  std::string folder;
  // One masked picture each, in this order.
  std::vector<mask::MaskKind> strategies = {mask::MaskKind::kRandom, mask::MaskKind::kSemantic,
                                            mask::MaskKind::kSemanticFocal};
  mask::MaskOptions mask;  // of every strategy; `kind` is not used
  int64_t seed = 0;
  int image_size = 256;
  int patch = 16;
};

// What became of the images.
struct PreviewOutcome {
  int drawn = 0;
  int skipped = 0;  // each named
};

// For each image writes NAME_mask.png, the paper's figure of masks: the image, its
// regions, and for each strategy the image with the masked patches in grey, side by side
// with what they are beneath. Region outlines go through the masks of strategies that
// follow regions; central regions have a thick outline. NAME is the file's stem; see
// FindPictures for stems that occur twice. Names written go to `out`; an image that
// cannot be read is named on `talk` and skipped.
//
// Errors: InvalidArgument (settings that do not fit), Unavailable (a file or the folder
// cannot be written; what was drawn before stays).
absl::StatusOr<PreviewOutcome> PreviewMasks(const PreviewOptions& options, std::ostream& out,
                                            std::ostream& talk);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_MASK_PREVIEW_H_
