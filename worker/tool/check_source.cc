#include "worker/tool/check_source.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "proto/common/status_macros.h"
#include "worker/data/subset.h"

namespace g2ll::tool {
namespace {

// Enough to notice a wrong kind of file or a mask folder of another size, within
// about a second even on a network file system.
constexpr int64_t kSampleSize = 64;

absl::StatusOr<std::unique_ptr<data::Dataset>> OpenAndSample(const data::DatasetOptions& options) {
  G2LL_ASSIGN_OR_RETURN(std::unique_ptr<data::Dataset> set, data::Dataset::Open(options));
  const int64_t count = std::min(set->size(), kSampleSize);
  for (int64_t i = 0; i < count; ++i) {
    G2LL_RETURN_IF_ERROR(set->CheckFiles(i * set->size() / count));
  }
  return set;
}

}  // namespace

bool CheckSource(const data::DatasetOptions& options, std::ostream& out) {
  const auto set = OpenAndSample(options);
  // ordered_json keeps the documented order; file names need not be UTF-8.
  nlohmann::ordered_json answer;
  answer["ok"] = set.ok();
  answer["message"] = set.ok() ? absl::StrCat((*set)->size(), " images of the ",
                                              data::SplitName(options.split), " split")
                               : std::string(set.status().message());
  answer["digest"] = set.ok() ? (*set)->digest() : "";
  answer["images"] = set.ok() ? (*set)->size() : 0;
  out << answer.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  return set.ok();
}

}  // namespace g2ll::tool
