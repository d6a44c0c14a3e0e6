#include "worker/data/excluded_ids.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "proto/common/folder_split.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/data/csv_line.h"
#include "worker/data/folder_scan.h"
#include "worker/data/photograph_id.h"
#include "worker/data/subset.h"

namespace g2ll::data {
namespace {

// A file's name has at most so many.
constexpr size_t kMaxIdBytes = 255;
// More than four million ids.
constexpr int64_t kMaxListBytes = int64_t{64} << 20;

// One line of a file of ids without blanks around it.
std::string_view Trimmed(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t begin = line.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return "";
  return line.substr(begin, line.find_last_not_of(kBlank) - begin + 1);
}

// Whether it is a row of a table: a quote at its start, or a comma or semicolon that no
// blank follows. Names of files may hold all three (`left arm, 2`).
bool IsTableRow(std::string_view text) {
  if (text.starts_with('"')) return true;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_separator = text[i] == ',' || text[i] == ';';
    if (is_separator && (i + 1 == text.size() || text[i + 1] != ' ')) return true;
  }
  return false;
}

// Says which key an error of another file belongs to.
absl::Status OfExcludeIds(const absl::Status& status) {
  return {status.code(), absl::StrCat("data.excludeIds ", std::string(status.message()))};
}

}  // namespace

bool CanBeListed(std::string_view id) {
  const bool has_control = std::any_of(id.begin(), id.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '/';
  });
  return !id.empty() && id.size() <= kMaxIdBytes && !has_control && !IsTableRow(id) &&
         id == Trimmed(WithoutByteOrderMark(id));
}

absl::StatusOr<ExcludedIds> ExcludedIds::Read(const std::vector<std::string>& entries,
                                              const std::vector<std::string>& held) {
  ExcludedIds excluded;
  for (const std::string& entry : entries) {
    if (entry == "none") continue;
    G2LL_RETURN_IF_ERROR(excluded.AddEntry(entry, held));
  }
  return excluded;
}

bool ExcludedIds::Contains(std::string_view id) const { return ids_.contains(PhotographId(id)); }

void ExcludedIds::Add(std::string_view id) { ids_.emplace(PhotographId(id)); }

absl::Status ExcludedIds::AddEntry(const std::string& entry, const std::vector<std::string>& held) {
  if (entry == "held") {
    if (held.empty()) log::Warning("data.excludeIds held: the source names no held-out images", {});
    for (const std::string& id : held) Add(id);
    return absl::OkStatus();
  }
  if (!entry.starts_with('/') || entry.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.excludeIds '", entry.substr(0, 200).c_str(),
                     "': give held, an absolute folder, FOLDER#SPLIT or an absolute text file"));
  }
  const FolderSplit named = ParseFolderSplit(entry);
  const std::string path(named.folder);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return AddFolder(path, SplitNamed(named.split).value_or(Split::kAll));
  }
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat(
        "data.excludeIds ", path, ": no such file or folder: it must exist on every worker",
        std::string(SplitHint(path))));
  }
  if (!named.split.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("data.excludeIds ", entry,
                                                   ": a text file has no splits: leave out #",
                                                   std::string(named.split)));
  }
  return AddTextFile(path);
}

absl::Status ExcludedIds::AddFolder(const std::string& folder, Split split) {
  absl::StatusOr<FolderContents> contents = ScanFolder(folder);
  if (!contents.ok()) return OfExcludeIds(contents.status());
  AssignSplits(contents->images);
  size_t num_found = 0;
  for (const FolderImage& image : contents->images) {
    if (!IsInSplit(image, split)) continue;
    Add(image.id);
    ++num_found;
  }
  if (num_found > 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("data.excludeIds ", folder,
                                                    ": holds no images of the ", SplitName(split),
                                                    " split: name another split or folder"));
}

absl::Status ExcludedIds::AddTextFile(const std::string& path) {
  if (FileSize(path) > kMaxListBytes) {
    return absl::FailedPreconditionError(absl::StrCat(
        "data.excludeIds ", path, ": is larger than 64 MiB: give one file stem a line"));
  }
  std::ifstream file(path, std::ios::binary);
  const auto cannot_be_read = [&path] {
    return absl::FailedPreconditionError(
        absl::StrCat("data.excludeIds ", path, ": cannot be read: check its permissions"));
  };
  if (!file) return cannot_be_read();
  std::string line;
  size_t num_found = 0;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    const std::string_view id = Trimmed(number == 1 ? WithoutByteOrderMark(line) : line);
    if (id.empty()) continue;
    if (!CanBeListed(id)) {
      return absl::FailedPreconditionError(
          absl::StrCat("data.excludeIds ", path, ": line ", number,
                       ": is no id: give one file stem a line, such as ISIC_0000000"));
    }
    Add(id);
    ++num_found;
  }
  if (file.bad()) return cannot_be_read();
  // `g2ll data check --write-overlap` writes such a list for two sets without a common image.
  if (num_found == 0) log::Warning("data.excludeIds: the list holds no id", {{"file", path}});
  return absl::OkStatus();
}

absl::Status internal::JudgeExclusion(const ExcludedIds& excluded, const DatasetOptions& options,
                                      size_t num_before, size_t num_left) {
  log::Info("images left out by id", {{"source", options.source},
                                      {"split", SplitName(options.split)},
                                      {"listed", static_cast<int64_t>(excluded.size())},
                                      {"left_out", static_cast<int64_t>(num_before - num_left)},
                                      {"kept", static_cast<int64_t>(num_left)}});
  if (num_left > 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("data.excludeIds leaves none of the ", num_before, " images of the ",
                   SplitName(options.split), " split of ", options.source,
                   ": exclude fewer ids or name another split"));
}

}  // namespace g2ll::data
