#ifndef WORKER_DATA_CSV_LINE_H_
#define WORKER_DATA_CSV_LINE_H_

#include <string>
#include <string_view>
#include <vector>

namespace g2ll::data {

// Fields of one line of a CSV file, without its end; quotes may hold commas, a doubled
// quote inside them is one.
std::vector<std::string> SplitCsvLine(std::string_view line);

// The same of a file's first line, which may start with a byte order mark.
std::vector<std::string> SplitCsvHeader(std::string_view line);

}  // namespace g2ll::data

#endif  // WORKER_DATA_CSV_LINE_H_
