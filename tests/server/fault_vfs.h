#ifndef TESTS_SERVER_FAULT_VFS_H_
#define TESTS_SERVER_FAULT_VFS_H_

#include <sqlite3.h>

#include <cstdint>

namespace g2ll::testing {

// A disk that fails at a chosen moment: a layer over SQLite's own file system that
// counts what changes a file. While the object lives every new connection uses it.
// One at a time; used by one thread.
class FaultVfs {
 public:
  enum class Fault {
    kDiskFull,    // a write finds no room; anything else is an I/O error
    kWriteError,  // EIO
    kShortWrite,  // half of the bytes arrive, then EIO
    kSyncError,   // only syncs fail and are counted
    kCrash,       // the process ends at once, with exit code 7
  };

  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  // From now on operation number `at` (from 1) fails, and all after it if `stays`.
  void Arm(Fault fault, int64_t at, bool stays = false);
  void Disarm();
  // Operations since Arm.
  int64_t operations() const;
};

}  // namespace g2ll::testing

#endif  // TESTS_SERVER_FAULT_VFS_H_
