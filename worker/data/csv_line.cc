#include "worker/data/csv_line.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace g2ll::data {

std::vector<std::string> SplitCsvLine(std::string_view line) {
  std::vector<std::string> fields(1);
  bool is_quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (is_quoted) {
      if (c != '"') {
        fields.back() += c;
      } else if (i + 1 < line.size() && line[i + 1] == '"') {
        fields.back() += '"';
        ++i;
      } else {
        is_quoted = false;
      }
    } else if (c == '"') {
      is_quoted = true;
    } else if (c == ',') {
      fields.emplace_back();
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  return fields;
}

std::string_view WithoutByteOrderMark(std::string_view line) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  return line;
}

std::vector<std::string> SplitCsvHeader(std::string_view line) {
  return SplitCsvLine(WithoutByteOrderMark(line));
}

absl::Status CheckCsvLine(const std::string& path, int64_t number, std::string_view line) {
  constexpr size_t kMaxBytes = size_t{64} << 10;
  if (line.size() > kMaxBytes) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": line ", number, ": has ",
                                                      line.size(), " bytes: at most ", kMaxBytes,
                                                      " are read"));
  }
  // A doubled quote inside quotes is even too.
  if (std::count(line.begin(), line.end(), '"') % 2 != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": line ", number,
        ": has a quote that is never closed: close it, and put no line end inside a field"));
  }
  return absl::OkStatus();
}

}  // namespace g2ll::data
