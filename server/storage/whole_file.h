#ifndef SERVER_STORAGE_WHOLE_FILE_H_
#define SERVER_STORAGE_WHOLE_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace g2ll::storage {

// Makes `path` hold `text` and nothing else, durably: it is written to `path.new`,
// synced, and renamed over `path`, so that readers and a crash see the old file or
// the new one. What a crash leaves of `path.new` the next call replaces. Only one
// process at a time may write `path`. Error: FailedPrecondition that names the path.
absl::Status WriteWholeFile(const std::string& path, std::string_view text);

}  // namespace g2ll::storage

#endif  // SERVER_STORAGE_WHOLE_FILE_H_
