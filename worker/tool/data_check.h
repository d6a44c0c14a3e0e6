#ifndef WORKER_TOOL_DATA_CHECK_H_
#define WORKER_TOOL_DATA_CHECK_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace g2ll::tool {

struct CheckOptions {
  std::vector<std::string> folders;  // one, or two to compare
  std::string output = "text";       // or json
};

// Decodes every image and mask and names each fault: an unreadable image or mask, an
// image without a mask beside images that have one, a mask without an image, a mask of
// another size or with values other than 0 and 255, an id or a content that occurs
// twice; with two folders also what both hold. Returns the number of findings.
// Errors: as ScanFolder, for a folder that cannot be read at all.
absl::StatusOr<int> CheckData(const CheckOptions& options, std::ostream& out);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_DATA_CHECK_H_
