#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/data/class_table.h"
#include "worker/data/csv_line.h"
#include "worker/data/folder_scan.h"

namespace g2ll::data {
namespace {

constexpr int64_t kMaxManifestBytes = int64_t{256} << 20;

// Positions of the columns we read, found by name.
struct Columns {
  size_t id = 0, image = 0, mask = 0, split = 0;
  std::optional<size_t> diagnosis;
  size_t count = 0;
};

absl::StatusOr<Columns> FindColumns(const std::string& path, const std::string& header) {
  const std::vector<std::string> names = SplitCsvHeader(header);
  std::map<std::string, size_t> positions;
  for (size_t i = 0; i < names.size(); ++i) positions.emplace(names[i], i);
  Columns columns;
  columns.count = names.size();
  const std::pair<const char*, size_t*> wanted[] = {{"id", &columns.id},
                                                    {"image", &columns.image},
                                                    {"mask", &columns.mask},
                                                    {"official_split", &columns.split}};
  for (const auto& [name, position] : wanted) {
    const auto found = positions.find(name);
    if (found == positions.end()) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": line 1: has no column '", name,
                       "': name the columns id, image, mask, official_split, or remove the file"));
    }
    *position = found->second;
  }
  if (const auto found = positions.find("label_isic2019"); found != positions.end()) {
    columns.diagnosis = found->second;
  }
  return columns;
}

std::optional<Split> OfficialSplit(const std::string& name) {
  if (name == "isic2017_train" || name == "train") return Split::kTrain;
  if (name == "isic2017_val" || name == "validation") return Split::kValidation;
  if (name == "isic2017_test" || name == "test") return Split::kTest;
  return std::nullopt;
}

// A path of the manifest must stay inside the folder.
bool IsInside(const std::string& relative) {
  const std::filesystem::path path(relative);
  if (path.is_absolute()) return false;
  for (const auto& component : path) {
    if (component == "..") return false;
  }
  return true;
}

bool IsFile(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

}  // namespace

absl::StatusOr<FolderContents> ReadManifestFolder(const std::string& folder) {
  const std::string path = folder + "/manifest.csv";
  if (!IsFile(path)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is not a regular file: remove it or write a table"));
  }
  if (FileSize(path) > kMaxManifestBytes) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": is larger than 256 MiB"));
  }
  std::ifstream file(path, std::ios::binary);
  std::string line;
  if (!std::getline(file, line)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be read or is empty"));
  }
  G2LL_RETURN_IF_ERROR(CheckCsvLine(path, 1, line));
  G2LL_ASSIGN_OR_RETURN(const Columns columns, FindColumns(path, line));
  FolderContents contents;
  std::set<std::string> classes;
  for (int64_t number = 2; std::getline(file, line); ++number) {
    if (line.empty() || line == "\r") continue;
    G2LL_RETURN_IF_ERROR(CheckCsvLine(path, number, line));
    const std::vector<std::string> fields = SplitCsvLine(line);
    if (fields.size() != columns.count) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": line ", number, ": has ",
                                                        fields.size(), " fields, the header has ",
                                                        columns.count));
    }
    FolderImage image;
    image.id = fields[columns.id];
    image.relative_path = fields[columns.image];
    if (image.id.empty() || !IsInside(image.relative_path) || !IsInside(fields[columns.mask])) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": line ", number, ": needs an id and paths inside the folder"));
    }
    image.path = absl::StrCat(folder, "/", image.relative_path);
    image.split = OfficialSplit(fields[columns.split]);
    if (columns.diagnosis) image.diagnosis = fields[*columns.diagnosis];
    // Also of pictures that are not there, so that a part of a set has the same classes.
    if (!image.diagnosis.empty()) classes.insert(image.diagnosis);
    const std::string mask_path = absl::StrCat(folder, "/", fields[columns.mask]);
    if (!fields[columns.mask].empty() && IsFile(mask_path)) {
      image.relative_mask_path = fields[columns.mask];
      image.mask_path = mask_path;
    }
    // Pictures and masks inside archives (`x.tar:y`) are listed too; they are no files.
    const bool has_image = IsFile(image.path);
    if (has_image) {
      image.is_unlabelled =
          image.mask_path.empty() &&
          (fields[columns.mask].empty() || fields[columns.mask].find(':') != std::string::npos);
      contents.images.push_back(std::move(image));
    } else if (!image.mask_path.empty()) {
      contents.orphan_masks.push_back(image.relative_mask_path);
    }
  }
  if (contents.images.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": none of its images exists: unpack them beside it"));
  }
  contents.class_names.assign(classes.begin(), classes.end());
  SortClassNames(contents.class_names);
  return contents;
}

}  // namespace g2ll::data
