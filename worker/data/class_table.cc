#include "worker/data/class_table.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/data/csv_line.h"
#include "worker/data/photograph_id.h"

namespace g2ll::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxTableBytes = int64_t{64} << 20;
constexpr int kMaxDepth = 4;
constexpr std::array<std::string_view, 9> kIsicOrder = {"MEL", "NV",   "BCC", "AK", "BKL",
                                                        "DF",  "VASC", "SCC", "UNK"};

absl::Status Fault(const std::string& path, int64_t line, const std::string& what) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": line ", line, ": ", what));
}

// 1 for `1`, `1.0`; 0 for `0`, `0.0`; none for anything else.
std::optional<int> BinaryValue(std::string_view text) {
  const size_t point = text.find('.');
  const std::string_view fraction = point == std::string_view::npos ? "" : text.substr(point + 1);
  if (fraction.find_first_not_of('0') != std::string_view::npos) return std::nullopt;
  const std::string_view whole = text.substr(0, point);
  if (whole == "0") return 0;
  if (whole == "1") return 1;
  return std::nullopt;
}

// The class column, from 1, that a row has its 1 in; none unless it is one-hot.
std::optional<size_t> HotColumn(const std::vector<std::string>& fields) {
  std::optional<size_t> hot;
  for (size_t column = 1; column < fields.size(); ++column) {
    const std::optional<int> value = BinaryValue(fields[column]);
    if (!value || (*value == 1 && hot)) return std::nullopt;
    if (*value == 1) hot = column;
  }
  return hot;
}

// Drops the classes of unknown images where there are none.
void DropEmptyUnknown(ClassTable& table) {
  std::set<int64_t> used;
  for (const auto& [id, number] : table.classes) used.insert(number);
  for (size_t i = table.names.size(); i-- > 0;) {
    const auto number = static_cast<int64_t>(i);
    const bool is_unknown = table.names[i] == "UNK" || table.names[i] == "NONE";
    if (!is_unknown || used.contains(number)) continue;
    table.names.erase(table.names.begin() + static_cast<ptrdiff_t>(i));
    for (auto& [id, other] : table.classes) other -= other > number ? 1 : 0;
  }
}

absl::Status ReadRow(const std::string& line, int64_t number, ClassTable& table) {
  G2LL_RETURN_IF_ERROR(CheckCsvLine(table.path, number, line));
  const std::vector<std::string> fields = SplitCsvLine(line);
  const size_t num_columns = table.names.size() + 1;
  if (fields.size() != num_columns) {
    return Fault(table.path, number,
                 absl::StrCat("has ", fields.size(), " fields, the header has ", num_columns));
  }
  if (fields[0].empty()) return Fault(table.path, number, "names no image");
  const std::optional<size_t> hot = HotColumn(fields);
  if (!hot) {
    return Fault(table.path, number,
                 absl::StrCat(fields[0], " needs 1 in exactly one class and 0 in the others"));
  }
  const std::string id(PhotographId(fields[0]));
  if (!table.classes.emplace(id, static_cast<int64_t>(*hot) - 1).second) {
    return Fault(table.path, number,
                 absl::StrCat(fields[0], " has a row already: keep one of them"));
  }
  if (table.first_id.empty()) table.first_id = fields[0];
  return absl::OkStatus();
}

bool IsTableName(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return !name.starts_with('.') && name.ends_with(".csv") &&
         (name.find("groundtruth") != std::string::npos ||
          name.find("ground_truth") != std::string::npos);
}

bool HasImageColumn(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string start(64, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<size_t>(file.gcount()));
  return SplitCsvHeader(start.substr(0, start.find('\n'))).front() == "image";
}

void ListTables(const fs::path& folder, int depth, std::vector<std::string>& tables) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  for (const fs::directory_iterator end; !error && entries != end; entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    std::error_code ignored;
    if (entries->is_directory(ignored)) {
      if (depth < kMaxDepth && !name.starts_with('.') && name != "__MACOSX") {
        ListTables(entries->path(), depth + 1, tables);
      }
    } else if (IsTableName(name) && entries->is_regular_file(ignored) &&
               HasImageColumn(entries->path())) {
      tables.push_back(entries->path().string());
    }
  }
}

absl::Status AssignFromTable(const ClassTable& table, const std::string& folder,
                             FolderContents& contents) {
  contents.class_names = table.names;
  int64_t num_found = 0;
  for (FolderImage& image : contents.images) {
    image.diagnosis.clear();
    const auto row = table.classes.find(PhotographId(image.id));
    if (row == table.classes.end()) continue;
    image.diagnosis = table.names[static_cast<size_t>(row->second)];
    ++num_found;
  }
  if (num_found == 0) {
    return Fault(table.path, 2,
                 absl::StrCat("names ", table.first_id, ", but neither this nor any of its ",
                              table.classes.size(), " rows is an image under ", folder,
                              ": give the table of these images"));
  }
  log::Info("diagnoses", {{"table", table.path},
                          {"rows", static_cast<int64_t>(table.classes.size())},
                          {"images", num_found}});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ClassTable> ReadClassTable(const std::string& path) {
  std::error_code ignored;  // what cannot be looked at cannot be read either
  if (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": cannot be read: is not a regular file"));
  }
  if (FileSize(path) > kMaxTableBytes) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is larger than 64 MiB: give a table of image and classes"));
  }
  std::ifstream file(path, std::ios::binary);
  std::string line;
  if (!std::getline(file, line)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be read or is empty"));
  }
  G2LL_RETURN_IF_ERROR(CheckCsvLine(path, 1, line));
  ClassTable table;
  table.path = path;
  table.names = SplitCsvHeader(line);
  if (table.names.front() != "image" || table.names.size() < 3) {
    return Fault(path, 1,
                 "needs the column image and then one column for each of two or more "
                 "classes, as ISIC-2019's ground truth");
  }
  table.names.erase(table.names.begin());
  for (int64_t number = 2; std::getline(file, line); ++number) {
    if (line.empty() || line == "\r") continue;
    G2LL_RETURN_IF_ERROR(ReadRow(line, number, table));
  }
  if (table.classes.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": names no image"));
  }
  DropEmptyUnknown(table);
  return table;
}

absl::StatusOr<std::string> FindClassTable(const std::string& folder) {
  std::vector<std::string> tables;
  ListTables(folder, 0, tables);
  std::sort(tables.begin(), tables.end());
  if (tables.size() == 1) return tables.front();
  if (tables.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder,
        ": holds no table of diagnoses: put ISIC_2019_Training_GroundTruth.csv beside the "
        "images or name a table of that form in data.classFile"));
  }
  return absl::FailedPreconditionError(absl::StrCat(tables[0], " and ", tables[1],
                                                    ": are both tables of diagnoses: name one of "
                                                    "them in data.classFile"));
}

absl::Status AssignClasses(const std::string& folder, const std::string& class_file,
                           FolderContents& contents) {
  if (class_file.empty() && contents.class_names.size() > 1) return absl::OkStatus();
  std::string path = class_file;
  if (path.empty()) {
    G2LL_ASSIGN_OR_RETURN(path, FindClassTable(folder));
  }
  absl::Status status;
  if (const absl::StatusOr<ClassTable> table = ReadClassTable(path); table.ok()) {
    status = AssignFromTable(*table, folder, contents);
  } else {
    status = table.status();
  }
  if (status.ok() || class_file.empty()) return status;
  // The table is the job's, so the fault is that key's.
  return {status.code(), absl::StrCat("data.classFile ", std::string(status.message()))};
}

void SortClassNames(std::vector<std::string>& names) {
  const auto place = [](const std::string& name) {
    return std::find(kIsicOrder.begin(), kIsicOrder.end(), name) - kIsicOrder.begin();
  };
  std::sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return place(a) != place(b) ? place(a) < place(b) : a < b;
  });
}

}  // namespace g2ll::data
