#ifndef WORKER_DATA_CLASS_TABLE_H_
#define WORKER_DATA_CLASS_TABLE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/data/folder_scan.h"

namespace g2ll::data {

// The diagnoses of a release: a CSV file in the form of ISIC-2019's ground truth, with
// the column `image` first and then one column for each class, of which each row has 1
// in exactly one and 0 in the others (`1.0` and `0.0` too).
struct ClassTable {
  std::string path;
  // In the order of the columns. `UNK` and `NONE` are left out where they have no row.
  std::vector<std::string> names;
  // Class of each image, an index into `names`, by PhotographId.
  std::map<std::string, int64_t, std::less<>> classes;
  // Id of the first row, for messages.
  std::string first_id;
};

// Errors: FailedPrecondition, one line that starts with the file and names the line: no
// such file, one larger than 64 MiB, a line longer than 64 KiB, no column `image`, fewer
// than two classes, no row, a row that names no image, is not one-hot, or stands for an
// image that an earlier row has.
absl::StatusOr<ClassTable> ReadClassTable(const std::string& path);

// The table under a folder: the one file whose name holds `GroundTruth` (or
// `ground_truth`, in any case) and whose first column is `image`.
// Errors: FailedPrecondition (none, or more than one; says what to do).
absl::StatusOr<std::string> FindClassTable(const std::string& folder);

// Gives every image its diagnosis: from `class_file` (absolute), else from the folder's
// manifest, else from the table under `folder`. Rows of images that are not there are
// passed over, since a folder may hold a part of a release.
// Errors: as above; FailedPrecondition where no image has a row.
absl::Status AssignClasses(const std::string& folder, const std::string& class_file,
                           FolderContents& contents);

// `names` in the order of ISIC-2019's columns; other names follow by alphabet.
void SortClassNames(std::vector<std::string>& names);

}  // namespace g2ll::data

#endif  // WORKER_DATA_CLASS_TABLE_H_
