#include "worker/tool/data_check.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proto/common/status_macros.h"
#include "worker/data/image_codec.h"
#include "worker/tool/folder_check.h"
#include "worker/tool/folder_overlap.h"
#include "worker/tool/printable.h"

namespace g2ll::tool {
namespace {

using Json = nlohmann::ordered_json;

// Look-alikes of one folder that are shown; the rest is counted.
constexpr size_t kShownPairs = 5;

// One folder and what was found in it.
struct Folder {
  CheckedFolder checked;
  std::vector<Finding> faults;
  std::vector<NearPair> alike;
};

// Everything that the check found.
struct Report {
  std::vector<Folder> folders;
  std::optional<Overlap> overlap;  // of two folders

  size_t num_findings() const {
    size_t count = overlap ? overlap->pairs.size() : 0;
    for (const Folder& folder : folders) count += folder.faults.size();
    return count;
  }
};

const std::string& PathOf(const CheckedFolder& checked, size_t image) {
  return checked.contents.images[image].path;
}

// The same for a line of text.
std::string NameOf(const CheckedFolder& checked, size_t image) {
  return Printable(PathOf(checked, image));
}

std::string TextOf(const data::Likeness& likeness) {
  return absl::StrFormat("hash distance %d, correlation %.3f", likeness.distance,
                         likeness.correlation);
}

void AddTo(Json& pair, const data::Likeness& likeness) {
  pair["distance"] = likeness.distance;
  pair["correlation"] = likeness.correlation;
}

const char* WordOf(SharedBy by) {
  switch (by) {
    case SharedBy::kId:
      return "id";
    case SharedBy::kContent:
      return "content";
    case SharedBy::kLooks:
      return "looks";
  }
  return "";
}

const char* SentenceOf(SharedBy by) {
  switch (by) {
    case SharedBy::kId:
      return "has the same name as";
    case SharedBy::kContent:
      return "has the same bytes as";
    case SharedBy::kLooks:
      return "looks like";
  }
  return "";
}

int64_t NumMasks(const CheckedFolder& checked) {
  int64_t count = 0;
  for (const data::FolderImage& image : checked.contents.images) {
    count += image.mask_path.empty() ? 0 : 1;
  }
  return count;
}

std::map<std::string, int64_t> SplitSizes(const CheckedFolder& checked) {
  std::map<std::string, int64_t> sizes;
  for (size_t i = 0; i < checked.contents.images.size(); ++i) ++sizes[SplitOf(checked, i)];
  return sizes;
}

int64_t NumBetweenSplits(const Folder& folder) {
  int64_t count = 0;
  for (const NearPair& pair : folder.alike) {
    count += SplitOf(folder.checked, pair.first) == SplitOf(folder.checked, pair.second) ? 0 : 1;
  }
  return count;
}

void PrintFolder(const Folder& folder, std::ostream& out) {
  const CheckedFolder& checked = folder.checked;
  out << checked.folder << ": " << checked.contents.images.size() << " images, "
      << NumMasks(checked) << " masks";
  for (const auto& [split, size] : SplitSizes(checked)) {
    if (split != "none") out << ", " << split << " " << size;
  }
  out << "\n";
  if (folder.alike.empty()) return;
  out << checked.folder << ": " << folder.alike.size() << " pairs of images look alike, "
      << NumBetweenSplits(folder) << " of them in two splits\n";
  for (size_t i = 0; i < std::min(kShownPairs, folder.alike.size()); ++i) {
    const NearPair& pair = folder.alike[i];
    out << "  " << NameOf(checked, pair.first) << " and " << NameOf(checked, pair.second) << " ("
        << TextOf(pair.likeness) << ")\n";
  }
  if (folder.alike.size() > kShownPairs) {
    out << "  and " << folder.alike.size() - kShownPairs << " more\n";
  }
}

void PrintOverlap(const Report& report, std::ostream& out) {
  const CheckedFolder& first = report.folders[0].checked;
  const CheckedFolder& second = report.folders[1].checked;
  for (const SharedImage& pair : report.overlap->pairs) {
    out << NameOf(second, pair.second) << ": " << SentenceOf(pair.by) << " "
        << NameOf(first, pair.first) << " ("
        << (pair.likeness ? TextOf(*pair.likeness) : "one cannot be read") << ")\n";
  }
  const SplitShare& all = report.overlap->all;
  out << all.shared << " of the " << all.images << " images of " << second.folder << " are in "
      << first.folder;
  const char* separator = ": ";
  for (const auto& [split, share] : report.overlap->by_split) {
    if (split == "none") continue;
    out << separator << split << " " << share.shared << " of " << share.images;
    separator = ", ";
  }
  out << "\n";
}

void PrintText(const Report& report, std::ostream& out) {
  for (const Folder& folder : report.folders) {
    for (const Finding& fault : folder.faults) {
      out << Printable(absl::StrCat(fault.file, ": ", fault.message)) << "\n";
    }
  }
  for (const Folder& folder : report.folders) PrintFolder(folder, out);
  if (report.overlap) PrintOverlap(report, out);
  const size_t count = report.num_findings();
  out << count << (count == 1 ? " finding\n" : " findings\n");
}

Json JsonOf(const Folder& folder) {
  const CheckedFolder& checked = folder.checked;
  Json shown = Json::array();
  for (size_t i = 0; i < std::min(kShownPairs, folder.alike.size()); ++i) {
    const NearPair& pair = folder.alike[i];
    Json entry = {{"first", PathOf(checked, pair.first)}, {"second", PathOf(checked, pair.second)}};
    AddTo(entry, pair.likeness);
    shown.push_back(std::move(entry));
  }
  return {{"folder", checked.folder},
          {"images", checked.contents.images.size()},
          {"masks", NumMasks(checked)},
          {"splits", SplitSizes(checked)},
          {"lookAlikes",
           {{"pairs", folder.alike.size()},
            {"betweenSplits", NumBetweenSplits(folder)},
            {"first", shown}}}};
}

Json JsonOf(const Overlap& overlap, const Report& report) {
  Json pairs = Json::array();
  for (const SharedImage& pair : overlap.pairs) {
    Json entry = {{"first", PathOf(report.folders[0].checked, pair.first)},
                  {"second", PathOf(report.folders[1].checked, pair.second)},
                  {"by", WordOf(pair.by)}};
    if (pair.likeness) AddTo(entry, *pair.likeness);
    pairs.push_back(std::move(entry));
  }
  Json splits = Json::object();
  for (const auto& [split, share] : overlap.by_split) {
    splits[split] = {{"images", share.images}, {"shared", share.shared}};
  }
  return {{"images", overlap.all.images},
          {"shared", overlap.all.shared},
          {"bySplit", splits},
          {"pairs", pairs}};
}

void PrintJson(const Report& report, std::ostream& out) {
  Json folders = Json::array();
  Json findings = Json::array();
  for (const Folder& folder : report.folders) {
    folders.push_back(JsonOf(folder));
    for (const Finding& fault : folder.faults) {
      findings.push_back({{"file", fault.file}, {"kind", fault.kind}, {"message", fault.message}});
    }
  }
  Json answer = {{"ok", report.num_findings() == 0}, {"folders", folders}, {"findings", findings}};
  if (report.overlap) answer["overlap"] = JsonOf(*report.overlap, report);
  out << answer.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

absl::StatusOr<Report> MakeReport(const CheckOptions& options) {
  Report report;
  for (const std::string& name : options.folders) {
    Folder folder;
    G2LL_ASSIGN_OR_RETURN(folder.checked, CheckFolder(name, options.progress));
    folder.faults = FaultsOf(folder.checked);
    folder.alike = LookAlikes(folder.checked);
    report.folders.push_back(std::move(folder));
  }
  if (report.folders.size() == 2) {
    report.overlap = OverlapOf(report.folders[0].checked, report.folders[1].checked);
  }
  return report;
}

}  // namespace

absl::StatusOr<int> CheckData(const CheckOptions& options, std::ostream& out) {
  if (!options.overlap_file.empty() && options.folders.size() != 2) {
    return absl::InvalidArgumentError("--write-overlap needs two folders to compare");
  }
  G2LL_ASSIGN_OR_RETURN(const Report report, MakeReport(options));
  if (options.output == "json") {
    PrintJson(report, out);
  } else {
    PrintText(report, out);
  }
  if (!options.overlap_file.empty() && !report.overlap->ids_of_first.empty()) {
    const std::string ids = absl::StrCat(absl::StrJoin(report.overlap->ids_of_first, "\n"), "\n");
    G2LL_RETURN_IF_ERROR(data::WriteFileAtomically(options.overlap_file, ids));
  }
  return static_cast<int>(report.num_findings());
}

}  // namespace g2ll::tool
