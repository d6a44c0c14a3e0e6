#include "worker/tool/data_check.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/data/digest.h"
#include "worker/data/folder_scan.h"
#include "worker/data/image_codec.h"
#include "worker/data/subset.h"

namespace g2ll::tool {
namespace {

using Json = nlohmann::ordered_json;

struct Finding {
  std::string file;
  std::string kind;
  std::string message;
};

// What looking at one image and its mask gave.
struct Looked {
  std::vector<Finding> findings;
  std::string content;  // SHA-256 of the image file; empty if unreadable
};

struct CheckedFolder {
  std::string folder;
  data::FolderContents contents;
  std::vector<Looked> looked;  // by image
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

void LookAtMask(const data::FolderImage& image, int width, int height, Looked& looked) {
  const absl::StatusOr<data::GrayImage> mask = data::ReadGray(image.mask_path);
  const auto add = [&](std::string kind, std::string message) {
    looked.findings.push_back({image.mask_path, std::move(kind), std::move(message)});
  };
  if (!mask.ok()) {
    add("unreadable_mask", WithoutPath(mask.status(), image.mask_path));
    return;
  }
  if (mask->width != width || mask->height != height) {
    add("mask_size",
        absl::StrCat("is ", mask->width, "x", mask->height, ", its image is ", width, "x", height));
  }
  const auto odd = std::find_if(mask->pixels.begin(), mask->pixels.end(),
                                [](uint8_t value) { return value != 0 && value != 255; });
  if (odd != mask->pixels.end()) {
    add("mask_values", absl::StrCat("holds the value ", int{*odd}, ": only 0 and 255 are allowed"));
  }
}

Looked LookAt(const data::FolderImage& image) {
  Looked looked;
  const absl::StatusOr<data::Image> picture = data::ReadImage(image.path);
  if (!picture.ok()) {
    looked.findings.push_back(
        {image.path, "unreadable_image", WithoutPath(picture.status(), image.path)});
    return looked;
  }
  looked.content = FileDigest(image.path);
  if (!image.mask_path.empty()) {
    LookAtMask(image, picture->width, picture->height, looked);
  } else if (!image.is_unlabelled) {
    looked.findings.push_back(
        {image.path, "missing_mask", absl::StrCat("has no ", image.id, "_segmentation.png")});
  }
  return looked;
}

absl::StatusOr<CheckedFolder> LookAtFolder(const std::string& folder) {
  CheckedFolder checked;
  checked.folder = folder;
  G2LL_ASSIGN_OR_RETURN(checked.contents, data::ScanFolder(folder));
  checked.looked.resize(checked.contents.images.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < checked.looked.size(); i = next++) {
      checked.looked[i] = LookAt(checked.contents.images[i]);
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
      threads.emplace_back(work);
    }
  }
  return checked;
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

std::vector<std::string> Ids(const CheckedFolder& checked) {
  std::vector<std::string> ids;
  for (const data::FolderImage& image : checked.contents.images) ids.push_back(image.id);
  return ids;
}

std::vector<std::string> ContentsOf(const CheckedFolder& checked) {
  std::vector<std::string> digests;
  for (const Looked& looked : checked.looked) digests.push_back(looked.content);
  return digests;
}

std::vector<Finding> FindingsOf(const CheckedFolder& checked) {
  std::vector<Finding> findings;
  for (const std::string& mask : checked.contents.orphan_masks) {
    findings.push_back(
        {absl::StrCat(checked.folder, "/", mask), "orphan_mask", "is a mask without an image"});
  }
  for (const Looked& looked : checked.looked) {
    findings.insert(findings.end(), looked.findings.begin(), looked.findings.end());
  }
  AddDuplicates(checked, Ids(checked), "duplicate_id", "has the same name as ", findings);
  AddDuplicates(checked, ContentsOf(checked), "duplicate_content", "has the same bytes as ",
                findings);
  return findings;
}

// Images of the second folder that the first holds too, by id or by content.
std::vector<Finding> OverlapOf(const CheckedFolder& first, const CheckedFolder& second) {
  std::map<std::string, size_t> by_id;
  std::map<std::string, size_t> by_content;
  for (size_t i = 0; i < first.looked.size(); ++i) {
    by_id.emplace(first.contents.images[i].id, i);
    if (!first.looked[i].content.empty()) by_content.emplace(first.looked[i].content, i);
  }
  std::vector<Finding> overlap;
  for (size_t i = 0; i < second.looked.size(); ++i) {
    const data::FolderImage& image = second.contents.images[i];
    const auto add = [&](const char* kind, const char* what, size_t other) {
      overlap.push_back({image.path, kind, absl::StrCat(what, first.contents.images[other].path)});
    };
    if (const auto same = by_id.find(image.id); same != by_id.end()) {
      add("overlap_id", "has the same name as ", same->second);
    } else if (const auto twin = by_content.find(second.looked[i].content);
               twin != by_content.end()) {
      add("overlap_content", "has the same bytes as ", twin->second);
    }
  }
  return overlap;
}

Json CountsOf(const CheckedFolder& checked) {
  int64_t masks = 0;
  std::map<std::string, int64_t> splits;
  for (const data::FolderImage& image : checked.contents.images) {
    masks += image.mask_path.empty() ? 0 : 1;
    ++splits[image.split ? data::SplitName(*image.split) : "none"];
  }
  return {{"folder", checked.folder},
          {"images", checked.contents.images.size()},
          {"masks", masks},
          {"splits", splits}};
}

void PrintText(const std::vector<Json>& counts, const std::vector<Finding>& findings,
               std::ostream& out) {
  for (const Finding& finding : findings) out << finding.file << ": " << finding.message << "\n";
  for (const Json& count : counts) {
    out << count["folder"].get<std::string>() << ": " << count["images"] << " images, "
        << count["masks"] << " masks";
    for (const auto& [split, number] : count["splits"].items()) {
      if (split != "none") out << ", " << split << " " << number;
    }
    out << "\n";
  }
  out << findings.size() << (findings.size() == 1 ? " finding\n" : " findings\n");
}

void PrintJson(const std::vector<Json>& counts, const std::vector<Finding>& findings,
               std::ostream& out) {
  Json listed = Json::array();
  for (const Finding& finding : findings) {
    listed.push_back(
        {{"file", finding.file}, {"kind", finding.kind}, {"message", finding.message}});
  }
  const Json answer = {{"ok", findings.empty()}, {"folders", counts}, {"findings", listed}};
  out << answer.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

}  // namespace

absl::StatusOr<int> CheckData(const CheckOptions& options, std::ostream& out) {
  std::vector<CheckedFolder> folders;
  for (const std::string& folder : options.folders) {
    G2LL_ASSIGN_OR_RETURN(CheckedFolder checked, LookAtFolder(folder));
    folders.push_back(std::move(checked));
  }
  std::vector<Finding> findings;
  std::vector<Json> counts;
  for (const CheckedFolder& folder : folders) {
    const std::vector<Finding> found = FindingsOf(folder);
    findings.insert(findings.end(), found.begin(), found.end());
    counts.push_back(CountsOf(folder));
  }
  if (folders.size() == 2) {
    const std::vector<Finding> overlap = OverlapOf(folders[0], folders[1]);
    findings.insert(findings.end(), overlap.begin(), overlap.end());
  }
  if (options.output == "json") {
    PrintJson(counts, findings, out);
  } else {
    PrintText(counts, findings, out);
  }
  return static_cast<int>(findings.size());
}

}  // namespace g2ll::tool
