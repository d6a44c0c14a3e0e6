#ifndef WORKER_DATA_CSV_LINE_H_
#define WORKER_DATA_CSV_LINE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace g2ll::data {

// Fields of one line of a CSV file, without its end; quotes may hold commas, a doubled
// quote inside them is one.
std::vector<std::string> SplitCsvLine(std::string_view line);

// The first line of a text file without the UTF-8 byte order mark that it may start with.
std::string_view WithoutByteOrderMark(std::string_view line);

// The same as SplitCsvLine of a file's first line, which may start with a byte order mark.
std::vector<std::string> SplitCsvHeader(std::string_view line);

// Whether the line may be split: one longer than 64 KiB is of another kind of file, and
// its fields could take any amount of memory, and an open quote would swallow the rest of
// its row. Error: FailedPrecondition with file and line.
absl::Status CheckCsvLine(const std::string& path, int64_t number, std::string_view line);

}  // namespace g2ll::data

#endif  // WORKER_DATA_CSV_LINE_H_
