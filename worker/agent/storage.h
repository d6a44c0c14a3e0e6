#ifndef WORKER_AGENT_STORAGE_H_
#define WORKER_AGENT_STORAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace g2ll::agent {

// Reads the token that the coordinator leaves in the storage root, by which both
// sides know that they see the same folder. Errors: NotFound or PermissionDenied,
// one line that names the file.
absl::StatusOr<std::string> ReadStorageToken(const std::string& storage_root);

// Checks that checkpoints can be written below the storage root and that at least
// `min_free_bytes` are free. Errors: PermissionDenied, ResourceExhausted, NotFound.
absl::Status CheckStorageWritable(const std::string& storage_root, int64_t min_free_bytes);

// Checks that a data source may be read: `synthetic:...`, or a path that lies below
// one of `data_roots` after links and `..` are resolved. Errors: PermissionDenied,
// NotFound, InvalidArgument (a relative path), one line each.
absl::Status CheckDataSource(const std::string& source, const std::vector<std::string>& data_roots);

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_STORAGE_H_
