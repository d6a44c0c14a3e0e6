#include <algorithm>
#include <filesystem>
#include <fstream>
#include <istream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/common/status_macros.h"
#include "worker/data/class_table.h"
#include "worker/data/csv_line.h"
#include "worker/data/folder_scan.h"
#include "worker/data/subset.h"

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

// Training sets of other releases than ISIC-2017. They are in no split: without masks their
// images are for pre-training.
constexpr const char* kOtherReleases[] = {"isic2018_task1_train", "isic2019_train",
                                          "isic2020_train"};

// The split that a cell names; none where it names that there is none. An unknown word is
// an error and not `none`, for the images of a test set must not fall into training.
absl::StatusOr<std::optional<Split>> OfficialSplit(const std::string& cell) {
  std::string word = absl::AsciiStrToLower(absl::StripAsciiWhitespace(cell));
  // A release may have its collection behind it: `isic2019_train (HAM10000)`.
  word.resize(std::min(word.size(), word.find(" (")));
  if (word.empty() || word == "none") return std::optional<Split>();
  if (std::find(std::begin(kOtherReleases), std::end(kOtherReleases), word) !=
      std::end(kOtherReleases)) {
    return std::optional<Split>();
  }
  constexpr std::string_view kOwnRelease = "isic2017_";
  const std::optional<Split> split =
      SplitOfWord(word.starts_with(kOwnRelease) ? word.substr(kOwnRelease.size()) : word);
  if (split) return split;
  return absl::FailedPreconditionError(absl::StrCat(
      "official_split is '", cell.substr(0, 100),
      "': give train, validation, test, none or nothing, or a release of ISIC (isic2017_train, "
      "isic2017_val, isic2017_test, ",
      absl::StrJoin(kOtherReleases, ", "), ")"));
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

// The image of a row; its `is_unlabelled` is not yet known. Errors do not name the line.
absl::StatusOr<FolderImage> ReadRow(const std::string& folder, const Columns& columns,
                                    const std::vector<std::string>& fields) {
  if (fields.size() != columns.count) {
    return absl::FailedPreconditionError(
        absl::StrCat("has ", fields.size(), " fields, the header has ", columns.count));
  }
  const std::string& mask = fields[columns.mask];
  FolderImage image;
  image.id = fields[columns.id];
  image.relative_path = fields[columns.image];
  if (image.id.empty() || !IsInside(image.relative_path) || !IsInside(mask)) {
    return absl::FailedPreconditionError("needs an id and paths inside the folder");
  }
  image.path = absl::StrCat(folder, "/", image.relative_path);
  G2LL_ASSIGN_OR_RETURN(image.split, OfficialSplit(fields[columns.split]));
  if (columns.diagnosis) image.diagnosis = fields[*columns.diagnosis];
  const std::string mask_path = absl::StrCat(folder, "/", mask);
  if (!mask.empty() && IsFile(mask_path)) {
    image.relative_mask_path = mask;
    image.mask_path = mask_path;
  }
  return image;
}

// `named_mask` is what the row says, whether it is there or not.
void AddImage(FolderImage image, const std::string& named_mask, FolderContents& contents) {
  // Pictures and masks inside archives (`x.tar:y`) are listed too; they are no files.
  if (IsFile(image.path)) {
    image.is_unlabelled = image.mask_path.empty() &&
                          (named_mask.empty() || named_mask.find(':') != std::string::npos);
    contents.images.push_back(std::move(image));
  } else if (!image.mask_path.empty()) {
    contents.orphan_masks.push_back(image.relative_mask_path);
  }
}

// The rows below the header.
absl::StatusOr<FolderContents> ReadRows(const std::string& folder, const std::string& path,
                                        const Columns& columns, std::istream& file) {
  FolderContents contents;
  std::set<std::string> classes;
  std::string line;
  for (int64_t number = 2; std::getline(file, line); ++number) {
    if (line.empty() || line == "\r") continue;
    G2LL_RETURN_IF_ERROR(CheckCsvLine(path, number, line));
    const std::vector<std::string> fields = SplitCsvLine(line);
    absl::StatusOr<FolderImage> image = ReadRow(folder, columns, fields);
    if (!image.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": line ", number, ": ", std::string(image.status().message())));
    }
    // Also of pictures that are not there, so that a part of a set has the same classes.
    if (!image->diagnosis.empty()) classes.insert(image->diagnosis);
    AddImage(*std::move(image), fields[columns.mask], contents);
  }
  contents.class_names.assign(classes.begin(), classes.end());
  SortClassNames(contents.class_names);
  return contents;
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
  G2LL_ASSIGN_OR_RETURN(FolderContents contents, ReadRows(folder, path, columns, file));
  if (contents.images.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": none of its images exists: unpack them beside it"));
  }
  return contents;
}

}  // namespace g2ll::data
