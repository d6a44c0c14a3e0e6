#include "worker/tool/picture_list.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace g2ll::tool {
namespace {

namespace fs = std::filesystem;

// A file's name has at most 255 bytes, and endings are put behind this one.
constexpr size_t kMaxNameBytes = 200;

// JPEG and PNG, then what people may take for readable.
constexpr std::array<std::string_view, 16> kPictureExtensions = {
    ".jpg",  ".jpeg", ".png",  ".jpe",  ".jfif", ".bmp", ".tif", ".tiff",
    ".webp", ".gif",  ".heic", ".heif", ".avif", ".jp2", ".dng", ".dcm"};

bool IsPicture(const fs::path& path) {
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  const std::string stem = absl::AsciiStrToLower(path.stem().string());
  return std::find(kPictureExtensions.begin(), kPictureExtensions.end(), extension) !=
             kPictureExtensions.end() &&
         !stem.starts_with('.') && !absl::EndsWith(stem, "_segmentation") &&
         !absl::EndsWith(stem, "_mask") && !absl::EndsWith(stem, "_overlay") &&
         !absl::EndsWith(stem, "_superpixels");
}

// The same for two ways to write one path.
fs::path Canonical(const fs::path& path) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(path, error);
  return error ? path : canonical;
}

class Finder {
 public:
  explicit Finder(const fs::path& output) : output_(Canonical(output)) {}

  void Add(const std::string& named) {
    std::error_code error;
    const fs::file_status status = fs::status(named, error);
    if (!fs::exists(status)) {
      Skip(named, "no such file or folder");
    } else if (fs::is_directory(status)) {
      AddFolder(named);
    } else {
      AddFile(named);
    }
  }

  PictureList Finish() {
    GiveNames();
    std::erase_if(list_.pictures, [this](const Picture& picture) {
      if (picture.name.size() <= kMaxNameBytes) return false;
      Skip(picture.path, absl::StrCat("its name has ", picture.name.size(), " bytes: at most ",
                                      kMaxNameBytes, " can be used"));
      return true;
    });
    return std::move(list_);
  }

 private:
  void Skip(const std::string& file, const std::string& why) {
    list_.skipped.push_back({file, absl::StrCat(file, ": ", why)});
  }

  void AddFile(const std::string& path) {
    if (seen_.insert(Canonical(path)).second) {
      list_.pictures.push_back({path, ""});
    }
  }

  void AddFolder(const std::string& folder) {
    std::vector<std::string> found;
    const size_t num_skipped = list_.skipped.size();
    ListFolder(folder, found);
    if (found.empty() && list_.skipped.size() == num_skipped) {
      Skip(folder, "holds no picture (.jpg, .jpeg, .png)");
    }
    std::sort(found.begin(), found.end());
    for (const std::string& path : found) AddFile(path);
  }

  // A folder that cannot be listed is named, and the others are read all the same.
  void ListFolder(const fs::path& folder, std::vector<std::string>& found) {
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      const fs::path& path = entries->path();
      std::error_code ignored;  // an entry that cannot be looked at is no folder
      if (!entries->is_directory(ignored)) {
        if (IsPicture(path)) found.push_back(path.string());
      } else if (!entries->is_symlink(ignored) && !IsPassedOver(path)) {
        ListFolder(path, found);
      }
    }
    if (error) Skip(folder.string(), absl::StrCat("cannot be listed: ", error.message()));
  }

  bool IsPassedOver(const fs::path& folder) const {
    const std::string name = folder.filename().string();
    return name.starts_with('.') || name == "__MACOSX" || Canonical(folder) == output_;
  }

  void GiveNames() {
    std::map<std::string, int> counts;
    for (const Picture& picture : list_.pictures) ++counts[fs::path(picture.path).stem().string()];
    std::set<std::string> taken;
    for (const auto& [stem, count] : counts) {
      if (count == 1) taken.insert(stem);
    }
    for (Picture& picture : list_.pictures) {
      const fs::path path(picture.path);
      const std::string stem = path.stem().string();
      picture.name = counts[stem] == 1 ? stem : FreeName(path, taken);
    }
  }

  static std::string FreeName(const fs::path& path, std::set<std::string>& taken) {
    const std::string folder = Canonical(path).parent_path().filename().string();
    const std::string wanted =
        absl::StrCat(folder, folder.empty() ? "" : "_", path.stem().string());
    std::string name = wanted;
    for (int number = 2; !taken.insert(name).second; ++number) {
      name = absl::StrCat(wanted, "_", number);
    }
    return name;
  }

  const fs::path output_;
  PictureList list_;
  std::set<fs::path> seen_;
};

}  // namespace

PictureList FindPictures(const std::vector<std::string>& named, const fs::path& output) {
  Finder finder(output);
  for (const std::string& path : named) finder.Add(path);
  return finder.Finish();
}

}  // namespace g2ll::tool
