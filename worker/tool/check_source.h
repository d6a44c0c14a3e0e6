#ifndef WORKER_TOOL_CHECK_SOURCE_H_
#define WORKER_TOOL_CHECK_SOURCE_H_

#include <ostream>

#include "worker/data/dataset.h"

namespace g2ll::tool {

// Opens a data source as a job would, with its subset, its excluded ids and its
// classes, and reads the headers of a sample of its files. Writes one line,
// `{"ok":..,"message":"..","digest":"..","images":N}`, to `out` and returns `ok`.
// A message that begins with `data.KEY` blames that key of the job, any other one the source.
bool CheckSource(const data::DatasetOptions& options, std::ostream& out);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_CHECK_SOURCE_H_
