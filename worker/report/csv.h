#ifndef WORKER_REPORT_CSV_H_
#define WORKER_REPORT_CSV_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace g2ll::report {

// A field of a CSV row (RFC 4180): quoted where commas, quotes or line ends need it.
std::string CsvField(const std::string& text);

// All rows of a CSV text, the header first; quoted fields may hold anything, a last
// line without its end counts. Error: InvalidArgument (a quote that is never closed).
absl::StatusOr<std::vector<std::vector<std::string>>> ParseCsv(std::string_view text);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_CSV_H_
