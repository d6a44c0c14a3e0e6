#ifndef SERVER_STORE_DATA_DIR_H_
#define SERVER_STORE_DATA_DIR_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

// The directory that holds a store: which files are in it and whether a coordinator
// may use it. Every error is one line that names the path and says what to do.
namespace g2ll::store {

// The store's file; SQLite puts its log beside it, with the ending `-wal`.
std::string StorePath(const std::string& data_dir);
std::string LockPath(const std::string& data_dir);
// Folder for copies. Those of the program begin with a dot while they are made.
std::string BackupDir(const std::string& data_dir);

// Makes the directory where it is missing, and refuses one that a store cannot live
// in: a file, a directory with the files of something else, a network file system.
// Errors: FailedPrecondition.
absl::Status PrepareDataDirectory(const std::string& data_dir);

// Whether the store's file is there, or nothing of a store is. Error: DataLoss.
absl::Status CheckStoreFiles(const std::string& data_dir);

// Removes what an interrupted backup or restore left. Never fails.
void RemoveLeftovers(const std::string& data_dir);

// What to do about a damaged store, as the end of a sentence: names the newest copy
// in the backup folder or beside the store, if there is one.
std::string RepairAdvice(const std::string& data_dir);

// Name of a network file system by the type that statfs gives; empty for a local
// one, or where it cannot be told (FUSE).
std::string_view NetworkFileSystemName(uint64_t type);

// Makes renames and removals in a directory durable. Error names the directory.
absl::Status SyncDirectory(const std::string& path);

}  // namespace g2ll::store

#endif  // SERVER_STORE_DATA_DIR_H_
