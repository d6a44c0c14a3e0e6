#include "worker/tool/folder_check.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/folder_split.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/data/digest.h"
#include "worker/data/image_codec.h"
#include "worker/data/parallel_for.h"
#include "worker/data/subset.h"

namespace g2ll::tool {
namespace {

// A picture with a shorter side than one patch has nothing to learn from.
constexpr int kSmallestSide = 16;
// Each holds a picture and its mask at their own size.
constexpr int kMaxThreads = 8;

// `checking FOLDER: 12 of 345`, rewritten in place at most ten times a second.
class ProgressLine {
 public:
  ProgressLine(std::ostream* out, const std::string& folder, size_t total)
      : out_(out), folder_(log::EscapeControl(folder)), total_(total) {}
  ~ProgressLine() {
    if (is_shown_) *out_ << "\r\033[K" << std::flush;
  }

  void Tell(size_t done) {
    if (out_ == nullptr) return;
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (is_shown_ && now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    is_shown_ = true;
    *out_ << "\r\033[Kchecking " << folder_ << ": " << done << " of " << total_ << std::flush;
  }

 private:
  std::ostream* const out_;
  const std::string folder_;
  const size_t total_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point last_;
  bool is_shown_ = false;
};

// Messages of the readers begin with the path, which a finding holds by itself.
std::string WithoutPath(const absl::Status& status, const std::string& path) {
  std::string message(status.message());
  const std::string prefix = path + ": ";
  return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
}

std::string FileDigest(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  data::Sha256 digest;
  digest.AddBytes(bytes.data(), bytes.size());
  return digest.Finish();
}

void CheckMask(const data::FolderImage& image, const data::Image& picture,
               std::vector<Finding>& faults) {
  const absl::StatusOr<data::GrayImage> mask = data::ReadGray(image.mask_path);
  const auto add = [&](std::string kind, std::string message) {
    faults.push_back({image.mask_path, std::move(kind), std::move(message)});
  };
  if (!mask.ok()) {
    add("unreadable_mask", WithoutPath(mask.status(), image.mask_path));
    return;
  }
  if (mask->width != picture.width || mask->height != picture.height) {
    add("mask_size", absl::StrCat("is ", mask->width, "x", mask->height, ", its image is ",
                                  picture.width, "x", picture.height));
  }
  const auto odd = std::find_if(mask->pixels.begin(), mask->pixels.end(),
                                [](uint8_t value) { return value != 0 && value != 255; });
  if (odd != mask->pixels.end()) {
    add("mask_values", absl::StrCat("holds the value ", int{*odd}, ": only 0 and 255 are allowed"));
    return;
  }
  const auto num_lesion = std::count(mask->pixels.begin(), mask->pixels.end(), 255);
  if (num_lesion == 0) add("mask_empty", "marks no lesion at all");
  if (num_lesion == std::ssize(mask->pixels)) add("mask_full", "marks the whole image as lesion");
}

void CheckImage(const data::FolderImage& image, size_t at, CheckedFolder& checked) {
  std::vector<Finding>& faults = checked.faults[at];
  const absl::StatusOr<data::Image> picture = data::ReadImage(image.path);
  if (!picture.ok()) {
    faults.push_back({image.path, "unreadable_image", WithoutPath(picture.status(), image.path)});
    return;
  }
  if (std::min(picture->width, picture->height) < kSmallestSide) {
    faults.push_back({image.path, "small_image",
                      absl::StrCat("is ", picture->width, "x", picture->height,
                                   ": a side is shorter than a patch of ", kSmallestSide)});
  }
  checked.digests[at] = FileDigest(image.path);
  checked.looks[at] = data::LooksOf(*picture);
  if (!image.mask_path.empty()) {
    CheckMask(image, *picture, faults);
  } else if (!image.is_unlabelled) {
    faults.push_back(
        {image.path, "missing_mask", absl::StrCat("has no ", image.id, "_segmentation.png")});
  }
}

// What a job would find in FOLDER or FOLDER#SPLIT.
absl::StatusOr<data::FolderContents> Scan(const std::string& text) {
  const FolderSplit named = ParseFolderSplit(text);
  const std::string folder(named.folder);
  std::error_code ignored;
  if (const std::string_view hint = SplitHint(folder);
      !hint.empty() && !std::filesystem::exists(folder, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(folder, ": no such folder", std::string(hint)));
  }
  G2LL_ASSIGN_OR_RETURN(data::FolderContents contents, data::ScanFolder(folder));
  data::AssignSplits(contents.images);
  const data::Split split = data::SplitNamed(named.split).value_or(data::Split::kAll);
  if (split == data::Split::kAll) return contents;
  std::erase_if(contents.images,
                [&](const data::FolderImage& image) { return !data::IsInSplit(image, split); });
  contents.orphan_masks.clear();
  if (contents.images.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(text, ": this split holds no images"));
  }
  return contents;
}

// Reports every image after the first with the same key.
void AddDuplicates(const CheckedFolder& checked, const std::vector<std::string>& keys,
                   const char* kind, const char* what, std::vector<Finding>& findings) {
  std::map<std::string, size_t> first;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].empty()) continue;
    const auto [earlier, is_new] = first.emplace(keys[i], i);
    if (is_new) continue;
    findings.push_back({checked.contents.images[i].path, kind,
                        absl::StrCat(what, checked.contents.images[earlier->second].path)});
  }
}

}  // namespace

absl::StatusOr<CheckedFolder> CheckFolder(const std::string& folder, std::ostream* progress) {
  CheckedFolder checked;
  checked.folder = folder;
  G2LL_ASSIGN_OR_RETURN(checked.contents, Scan(folder));
  const size_t count = checked.contents.images.size();
  checked.faults.resize(count);
  checked.digests.resize(count);
  checked.looks.resize(count);
  ProgressLine line(progress, folder, count);
  std::atomic<size_t> num_done = 0;
  const auto num_processors = static_cast<int>(std::thread::hardware_concurrency());
  data::ParallelFor(count, std::min(num_processors, kMaxThreads), [&](size_t i) {
    CheckImage(checked.contents.images[i], i, checked);
    line.Tell(++num_done);
  });
  return checked;
}

std::vector<Finding> FaultsOf(const CheckedFolder& checked) {
  std::vector<Finding> findings;
  for (const std::string& mask : checked.contents.orphan_masks) {
    findings.push_back(
        {absl::StrCat(std::string(ParseFolderSplit(checked.folder).folder), "/", mask),
         "orphan_mask", "is a mask without an image"});
  }
  for (const std::vector<Finding>& faults : checked.faults) {
    findings.insert(findings.end(), faults.begin(), faults.end());
  }
  std::vector<std::string> ids;
  for (const data::FolderImage& image : checked.contents.images) ids.push_back(image.id);
  AddDuplicates(checked, ids, "duplicate_id", "has the same name as ", findings);
  AddDuplicates(checked, checked.digests, "duplicate_content", "has the same bytes as ", findings);
  return findings;
}

}  // namespace g2ll::tool
