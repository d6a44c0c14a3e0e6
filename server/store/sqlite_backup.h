#ifndef SERVER_STORE_SQLITE_BACKUP_H_
#define SERVER_STORE_SQLITE_BACKUP_H_

#include <memory>
#include <string>

#include "server/store/backup.h"

namespace g2ll::store {

// Copies the store of a data directory into its folder `backups`, page by page within
// one read transaction: the writer never waits for it, only its log grows meanwhile.
// A copy in the making has a name with a leading dot and goes at the next start if it
// is left behind.
std::unique_ptr<BackupMaker> MakeSqliteBackupMaker(const std::string& data_dir);

}  // namespace g2ll::store

#endif  // SERVER_STORE_SQLITE_BACKUP_H_
