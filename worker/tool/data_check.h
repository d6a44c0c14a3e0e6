#ifndef WORKER_TOOL_DATA_CHECK_H_
#define WORKER_TOOL_DATA_CHECK_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace g2ll::tool {

struct CheckOptions {
  std::vector<std::string> folders;  // one, or two to compare; FOLDER or FOLDER#SPLIT
  std::string output = "text";       // or json
  // With two folders: file for the ids of the first folder's images that the second holds
  // too, one a line, as `data.excludeIds` takes it; empty where there is none.
  std::string overlap_file;
  std::ostream* progress = nullptr;  // a terminal; null: no progress is told
};

// Decodes every image and mask and names each fault: an unreadable or tiny image, an
// unreadable mask, an image without a mask beside images that have one, a mask without an
// image, a mask of another size, with values other than 0 and 255, empty or full, an id or
// a content that occurs twice. Counts the images that look alike, which is no fault.
//
// With two folders it is the leak report too: every pair of images that both hold, by
// name, by bytes or by looks, and how many images of each split of the second are in the
// first. At most kMaxListedPairs (folder_overlap.h) of them are listed; the counts and the
// ids of `overlap_file` are those of all. Returns the number of faults and pairs.
// Errors: as CheckFolder, for a folder that cannot be read at all; InvalidArgument
// (`overlap_file` with one folder), FailedPrecondition (an id that cannot stand in it),
// Unavailable (it cannot be written).
absl::StatusOr<int64_t> CheckData(const CheckOptions& options, std::ostream& out);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_DATA_CHECK_H_
