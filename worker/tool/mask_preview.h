#ifndef WORKER_TOOL_MASK_PREVIEW_H_
#define WORKER_TOOL_MASK_PREVIEW_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/mask/mask_strategy.h"

namespace g2ll::tool {

struct PreviewOptions {
  std::vector<std::string> images;
  std::string folder;
  mask::MaskOptions mask;
  int64_t seed = 0;
  int image_size = 256;
  int patch = 16;
};

// For each image writes STEM_mask.png: the image, its regions, and the image with the
// masked patches in grey, side by side, as in the paper's figure of masks.
// Errors: InvalidArgument (settings, two images of one name), DataLoss (an unreadable
// image), Unavailable (the folder).
absl::Status PreviewMasks(const PreviewOptions& options, std::ostream& out);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_MASK_PREVIEW_H_
