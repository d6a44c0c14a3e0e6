#ifndef SERVER_STORE_SCHEMA_H_
#define SERVER_STORE_SCHEMA_H_

#include "absl/status/status.h"
#include "server/store/sqlite.h"

namespace g2ll::store {

// Brings the file to the newest schema, one transaction a version. A file of a
// newer program is FailedPrecondition and says what to do.
absl::Status Migrate(Database* database);

// Version that this program writes.
int SchemaVersion();

}  // namespace g2ll::store

#endif  // SERVER_STORE_SCHEMA_H_
