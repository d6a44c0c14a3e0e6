#include "worker/data/folder_scan.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/data/subset.h"

namespace g2ll::data {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 4;
constexpr std::string_view kMaskSuffix = "_segmentation";

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool IsPicture(const std::string& lower_extension) {
  return lower_extension == ".jpg" || lower_extension == ".jpeg" || lower_extension == ".png";
}

bool IsIgnored(const std::string& name) {
  return name.starts_with('.') || name == "__MACOSX" || Contains(Lower(name), "_superpixels");
}

bool IsMaskFolder(const std::string& lower_name) {
  return lower_name == "masks" || lower_name == "mask" || lower_name == "segmentations" ||
         Contains(lower_name, "groundtruth") || Contains(lower_name, "ground_truth");
}

bool IsUpper(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }
bool IsLower(char c) { return std::islower(static_cast<unsigned char>(c)) != 0; }

// Bytes of letters beyond ASCII too.
bool IsLetter(char c) { return IsUpper(c) || IsLower(c) || static_cast<unsigned char>(c) >= 0x80; }

// By whole words, for `latest` and `contest` name no test set. A word ends before what is
// no letter, and before a capital behind a small letter (`TestImages`).
std::optional<Split> SplitOfName(std::string_view name) {
  for (size_t begin = 0, end = 0; begin < name.size(); begin = std::max(end, begin + 1)) {
    end = begin;
    while (end < name.size() && IsLetter(name[end]) &&
           !(end > begin && IsUpper(name[end]) && IsLower(name[end - 1]))) {
      ++end;
    }
    if (const auto split = SplitOfWord(name.substr(begin, end - begin))) return split;
  }
  return std::nullopt;
}

// The challenge year in a folder name such as ISIC-2017_Training_Data or
// ISBI2016_ISIC_Part1_Training_Data; empty if there is none.
std::string ReleaseOfName(const std::string& lower_name) {
  for (const std::string_view prefix : {"isic", "isbi"}) {
    const size_t start = lower_name.find(prefix);
    if (start == std::string::npos) continue;
    size_t digit = start + prefix.size();
    if (digit < lower_name.size() && (lower_name[digit] == '-' || lower_name[digit] == '_')) {
      ++digit;
    }
    const std::string year = lower_name.substr(std::min(digit, lower_name.size()), 4);
    if (year.size() == 4 && year.starts_with("20")) return year;
  }
  return "";
}

// A picture file and what its place says about it.
struct Found {
  std::string stem;  // without the mask suffix
  std::string relative;
  std::string folder;  // relative folder
  std::string release;
  std::optional<Split> split;
  bool is_mask = false;
};

Found Classify(const fs::path& relative) {
  Found found;
  found.relative = relative.generic_string();
  found.folder = relative.parent_path().generic_string();
  found.stem = relative.stem().string();
  // The innermost folder that says something wins.
  for (const fs::path& component : relative.parent_path()) {
    const std::string name = Lower(component.string());
    if (IsMaskFolder(name)) found.is_mask = true;
    if (const auto split = SplitOfName(component.string())) found.split = split;
    if (const std::string release = ReleaseOfName(name); !release.empty()) {
      found.release = release;
    }
  }
  const std::string lower_stem = Lower(found.stem);
  if (lower_stem.ends_with(kMaskSuffix)) {
    found.is_mask = true;
    found.stem.resize(found.stem.size() - kMaskSuffix.size());
  } else if (found.is_mask && lower_stem.ends_with("_mask")) {
    found.stem.resize(found.stem.size() - std::string_view("_mask").size());
  }
  return found;
}

absl::Status ListFiles(const fs::path& root, const fs::path& relative, int depth,
                       std::vector<Found>& files) {
  std::error_code error;
  fs::directory_iterator entries(root / relative, error);
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat((root / relative).string(), ": cannot be read: ", error.message()));
  }
  for (const fs::directory_iterator end; entries != end; entries.increment(error)) {
    const fs::directory_entry& entry = *entries;
    const std::string name = entry.path().filename().string();
    if (IsIgnored(name)) continue;
    if (entry.is_directory(error)) {
      if (depth < kMaxDepth) {
        G2LL_RETURN_IF_ERROR(ListFiles(root, relative / name, depth + 1, files));
      }
    } else if (IsPicture(Lower(entry.path().extension().string()))) {
      files.push_back(Classify(relative / name));
    }
  }
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat((root / relative).string(), ": cannot be read: ", error.message()));
  }
  return absl::OkStatus();
}

// Masks and images belong together within one release and one split.
using PairKey = std::tuple<std::string, int, std::string>;
PairKey KeyOf(const Found& found) {
  return {found.release, found.split ? static_cast<int>(*found.split) : -1, found.stem};
}

FolderContents PairUp(const std::string& root, const std::vector<Found>& files) {
  std::map<PairKey, const Found*> masks;
  for (const Found& file : files) {
    if (file.is_mask) masks.emplace(KeyOf(file), &file);
  }
  FolderContents contents;
  std::set<PairKey> used;
  std::set<std::string> labelled_folders;
  std::vector<std::string> folders;
  for (const Found& file : files) {
    if (file.is_mask) continue;
    FolderImage image;
    image.id = file.stem;
    image.relative_path = file.relative;
    image.path = absl::StrCat(root, "/", file.relative);
    image.split = file.split;
    if (const auto mask = masks.find(KeyOf(file)); mask != masks.end()) {
      image.relative_mask_path = mask->second->relative;
      image.mask_path = absl::StrCat(root, "/", mask->second->relative);
      used.insert(mask->first);
      labelled_folders.insert(file.folder);
    }
    folders.push_back(file.folder);
    contents.images.push_back(std::move(image));
  }
  for (size_t i = 0; i < contents.images.size(); ++i) {
    contents.images[i].is_unlabelled = !labelled_folders.contains(folders[i]);
  }
  for (const auto& [key, mask] : masks) {
    if (!used.contains(key)) contents.orphan_masks.push_back(mask->relative);
  }
  std::sort(contents.orphan_masks.begin(), contents.orphan_masks.end());
  return contents;
}

}  // namespace

void AssignSplits(std::vector<FolderImage>& images) {
  std::vector<std::string> ids;
  for (const FolderImage& image : images) {
    if (image.split.has_value()) return;
    if (!image.is_unlabelled) ids.push_back(image.id);
  }
  const std::vector<Split> splits = HashSplit(ids);
  size_t next = 0;
  for (FolderImage& image : images) {
    if (!image.is_unlabelled) image.split = splits[next++];
  }
}

bool IsInSplit(const FolderImage& image, Split wanted) {
  if (wanted == Split::kAll) return true;
  if (image.split.has_value()) return *image.split == wanted;
  return image.is_unlabelled && wanted == Split::kTrain;
}

int64_t FileSize(const std::string& path) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  return error ? -1 : static_cast<int64_t>(size);
}

absl::StatusOr<FolderContents> ScanFolder(const std::string& folder) {
  std::error_code error;
  if (!fs::exists(folder, error)) {
    return absl::NotFoundError(absl::StrCat(folder, ": no such folder: check the path"));
  }
  if (!fs::is_directory(folder, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder, ": is not a folder: name the folder that holds it"));
  }
  if (fs::exists(folder + "/manifest.csv", error)) return ReadManifestFolder(folder);
  std::vector<Found> files;
  G2LL_RETURN_IF_ERROR(ListFiles(folder, "", 0, files));
  std::sort(files.begin(), files.end(),
            [](const Found& a, const Found& b) { return a.relative < b.relative; });
  FolderContents contents = PairUp(folder, files);
  if (contents.images.empty() && contents.orphan_masks.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder,
        ": holds no JPEG or PNG pictures: name a folder of images, an ISIC folder as downloaded, "
        "or images/ with masks/"));
  }
  return contents;
}

}  // namespace g2ll::data
