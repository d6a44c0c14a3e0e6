#ifndef WORKER_TOOL_CHECK_SOURCE_H_
#define WORKER_TOOL_CHECK_SOURCE_H_

#include <ostream>
#include <string>

#include "worker/data/dataset.h"

namespace g2ll::tool {

struct SourceOptions {
  std::string source;
  data::Split split = data::Split::kTrain;
  bool needs_masks = false;
};

// Opens a data source as a job would and reads the headers of a sample of its files.
// Writes one line, `{"ok":..,"message":"..","digest":"..","images":N}`, to `out` and
// returns `ok`.
bool CheckSource(const SourceOptions& options, std::ostream& out);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_CHECK_SOURCE_H_
