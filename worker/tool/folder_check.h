#ifndef WORKER_TOOL_FOLDER_CHECK_H_
#define WORKER_TOOL_FOLDER_CHECK_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/folder_scan.h"
#include "worker/tool/near_duplicates.h"

namespace g2ll::tool {

// Something wrong with a file.
struct Finding {
  std::string file;
  std::string kind;     // a word for scripts, for example `mask_size`
  std::string message;  // what comes after `FILE: `
};

// A data folder of which every picture was decoded once.
struct CheckedFolder {
  std::string folder;  // as it was asked for
  data::FolderContents contents;
  // By image: what is wrong with it or its mask; SHA-256 of its file, empty if unreadable;
  // what it looks like.
  std::vector<std::vector<Finding>> faults;
  std::vector<std::string> digests;
  LooksOfImages looks;
};

// Reads `folder`, or `FOLDER#SPLIT` for one split of it (folder_split.h), on up to eight
// processors. Images have the split that a job would give them. Tells its progress on
// `progress`, a terminal; null: does not.
// Errors: those of ScanFolder; InvalidArgument (no such folder, and its name has a `#`
// without a split behind), FailedPrecondition (a split without images).
absl::StatusOr<CheckedFolder> CheckFolder(const std::string& folder, std::ostream* progress);

// Everything that is wrong with the folder: the faults of its files, masks without an
// image, and images whose name or content occurs before.
std::vector<Finding> FaultsOf(const CheckedFolder& checked);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_FOLDER_CHECK_H_
