#include "worker/tool/data_check.h"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/data/excluded_ids.h"
#include "worker/data/image_codec.h"
#include "worker/tool/counted.h"
#include "worker/tool/folder_check.h"
#include "worker/tool/folder_overlap.h"

namespace g2ll::tool {
namespace {

using Json = nlohmann::ordered_json;

// One folder and what was found in it.
struct Folder {
  CheckedFolder checked;
  std::vector<Finding> faults;
  LookAlikes alike;
};

// Everything that the check found.
struct Report {
  std::vector<Folder> folders;
  std::optional<Overlap> overlap;  // of two folders

  int64_t num_findings() const {
    int64_t count = overlap ? overlap->num_pairs : 0;
    for (const Folder& folder : folders) count += std::ssize(folder.faults);
    return count;
  }
};

const std::string& PathOf(const CheckedFolder& checked, size_t image) {
  return checked.contents.images[image].path;
}

// The same for a line of text.
std::string NameOf(const CheckedFolder& checked, size_t image) {
  return log::EscapeControl(PathOf(checked, image));
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

// How many pairs a list leaves out.
void PrintRest(const char* indent, int64_t num_pairs, size_t num_listed, std::ostream& out) {
  const int64_t rest = num_pairs - static_cast<int64_t>(num_listed);
  if (rest > 0) out << indent << "and " << Counted(rest, "more pair") << "\n";
}

void PrintFolder(const Folder& folder, std::ostream& out) {
  const CheckedFolder& checked = folder.checked;
  const std::string name = log::EscapeControl(checked.folder);
  out << name << ": " << Counted(std::ssize(checked.contents.images), "image") << ", "
      << Counted(NumMasks(checked), "mask");
  for (const auto& [split, size] : SplitSizes(checked)) {
    if (split != "none") out << ", " << split << " " << size;
  }
  out << "\n";
  const LookAlikes& alike = folder.alike;
  if (alike.num_pairs == 0) return;
  out << name << ": " << Counted(alike.num_pairs, "pair")
      << (alike.num_pairs == 1 ? " of images looks alike, " : " of images look alike, ")
      << alike.num_between_splits << " of them in two splits\n";
  for (const NearPair& pair : alike.pairs) {
    out << "  " << NameOf(checked, pair.first) << " and " << NameOf(checked, pair.second) << " ("
        << TextOf(pair.likeness) << ")\n";
  }
  PrintRest("  ", alike.num_pairs, alike.pairs.size(), out);
}

void PrintOverlap(const Report& report, std::ostream& out) {
  const CheckedFolder& first = report.folders[0].checked;
  const CheckedFolder& second = report.folders[1].checked;
  for (const SharedImage& pair : report.overlap->pairs) {
    out << NameOf(second, pair.second) << ": " << SentenceOf(pair.by) << " "
        << NameOf(first, pair.first) << " ("
        << (pair.likeness ? TextOf(*pair.likeness) : "one cannot be read") << ")\n";
  }
  PrintRest("", report.overlap->num_pairs, report.overlap->pairs.size(), out);
  const SplitShare& all = report.overlap->all;
  out << all.shared << " of the " << all.images << " images of "
      << log::EscapeControl(second.folder) << " are in " << log::EscapeControl(first.folder);
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
      out << log::EscapeControl(absl::StrCat(fault.file, ": ", fault.message)) << "\n";
    }
  }
  for (const Folder& folder : report.folders) PrintFolder(folder, out);
  if (report.overlap) PrintOverlap(report, out);
  out << Counted(report.num_findings(), "finding") << "\n";
}

Json JsonOf(const Folder& folder) {
  const CheckedFolder& checked = folder.checked;
  Json shown = Json::array();
  for (const NearPair& pair : folder.alike.pairs) {
    Json entry = {{"first", PathOf(checked, pair.first)}, {"second", PathOf(checked, pair.second)}};
    AddTo(entry, pair.likeness);
    shown.push_back(std::move(entry));
  }
  return {{"folder", checked.folder},
          {"images", checked.contents.images.size()},
          {"masks", NumMasks(checked)},
          {"splits", SplitSizes(checked)},
          {"lookAlikes",
           {{"pairs", folder.alike.num_pairs},
            {"betweenSplits", folder.alike.num_between_splits},
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
          {"numPairs", overlap.num_pairs},
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
    folder.alike = LookAlikesOf(folder.checked);
    report.folders.push_back(std::move(folder));
  }
  if (report.folders.size() == 2) {
    report.overlap = OverlapOf(report.folders[0].checked, report.folders[1].checked);
  }
  return report;
}

// Also where there is none, so that no older list stays.
absl::Status WriteIds(const std::vector<std::string>& ids, const std::string& file) {
  std::string text;
  for (const std::string& id : ids) {
    if (!data::CanBeListed(id)) {
      return absl::FailedPreconditionError(
          absl::StrCat(file, ": is not written: the name '", id,
                       "' cannot stand in a list of ids: rename that image"));
    }
    absl::StrAppend(&text, id, "\n");
  }
  return data::WriteFileAtomically(file, text);
}

}  // namespace

absl::StatusOr<int64_t> CheckData(const CheckOptions& options, std::ostream& out) {
  if (!options.overlap_file.empty() && options.folders.size() != 2) {
    return absl::InvalidArgumentError("--write-overlap needs two folders to compare");
  }
  G2LL_ASSIGN_OR_RETURN(const Report report, MakeReport(options));
  if (options.output == "json") {
    PrintJson(report, out);
  } else {
    PrintText(report, out);
  }
  if (!options.overlap_file.empty()) {
    G2LL_RETURN_IF_ERROR(WriteIds(report.overlap->ids_of_first, options.overlap_file));
  }
  return report.num_findings();
}

}  // namespace g2ll::tool
