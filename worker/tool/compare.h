#ifndef WORKER_TOOL_COMPARE_H_
#define WORKER_TOOL_COMPARE_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/status/status.h"

namespace g2ll::tool {

struct CompareOptions {
  std::string a;  // folders of two evaluations' reports
  std::string b;
  std::string name_a;  // how they are called; empty: the folder
  std::string name_b;
  std::string output = "table";  // or `json`
  bool is_aligned = false;       // columns padded for a terminal, else separated by tabs
  uint64_t seed = 0;             // of the bootstrap and of the test
};

// Compares two evaluations of the same images: for Dice and IoU at both sizes the means,
// the mean difference B - A with its paired bootstrap interval, and the p-value of a
// sign-flip test (metric::ComparePaired). Reads `report.json` and `per_image.csv`.
//
// Errors, all InvalidArgument and one line: a folder without a report, a report that is
// not one of an evaluation, and whatever makes the scores no pairs: other images, other
// sizes or lesions of the truth, another size of the network, another protocol.
absl::Status CompareReports(const CompareOptions& options, std::ostream& out);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_COMPARE_H_
