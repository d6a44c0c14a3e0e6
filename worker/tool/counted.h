#ifndef WORKER_TOOL_COUNTED_H_
#define WORKER_TOOL_COUNTED_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace g2ll::tool {

// `1 image`, `2 images`.
inline std::string Counted(int64_t count, const char* what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_COUNTED_H_
