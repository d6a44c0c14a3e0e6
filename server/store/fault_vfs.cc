// A SQLite VFS that passes everything on to the default one. It has a fail point
// before and after each call that changes the disk.
#include "server/store/fault_vfs.h"

#include <sqlite3.h>

#include "absl/status/status.h"
#include "proto/common/failpoint.h"

namespace g2ll::store {
namespace {

// SQLite makes room for this; the real file lies right behind it.
struct FaultFile {
  sqlite3_file base;

  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<FaultFile*>(file)->real(); }

sqlite3_vfs* RealVfs(sqlite3_vfs* vfs) { return static_cast<sqlite3_vfs*>(vfs->pAppData); }

// What SQLite is to see of an error that a point asks for.
int Code(const absl::Status& status, int code) {
  if (status.ok()) {
    return SQLITE_OK;
  }
  return absl::IsResourceExhausted(status) ? SQLITE_FULL : code;
}

int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  const absl::Status fault = G2LL_FAILPOINT_ERROR("store.vfs.write.before");
  if (!fault.ok()) {
    return Code(fault, SQLITE_IOERR_WRITE);
  }
  const auto cut =
      static_cast<int>(G2LL_FAILPOINT_CUT("store.vfs.write.during", static_cast<size_t>(size)));
  const int code = Real(file)->pMethods->xWrite(Real(file), data, cut, offset);
  if (cut < size) {
    failpoint::Crash();
  }
  G2LL_FAILPOINT("store.vfs.write.after");
  return code;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  G2LL_FAILPOINT("store.vfs.truncate.before");
  const int code = Real(file)->pMethods->xTruncate(Real(file), size);
  G2LL_FAILPOINT("store.vfs.truncate.after");
  return code;
}

int Sync(sqlite3_file* file, int flags) {
  const absl::Status fault = G2LL_FAILPOINT_ERROR("store.vfs.sync.before");
  if (!fault.ok()) {
    return Code(fault, SQLITE_IOERR_FSYNC);
  }
  const int code = Real(file)->pMethods->xSync(Real(file), flags);
  G2LL_FAILPOINT("store.vfs.sync.after");
  return code;
}

const sqlite3_io_methods kMethods = {
    .iVersion = 3,
    .xClose = [](sqlite3_file* f) { return Real(f)->pMethods->xClose(Real(f)); },
    .xRead = [](sqlite3_file* f, void* data, int size,
                sqlite3_int64 at) { return Real(f)->pMethods->xRead(Real(f), data, size, at); },
    .xWrite = Write,
    .xTruncate = Truncate,
    .xSync = Sync,
    .xFileSize = [](sqlite3_file* f,
                    sqlite3_int64* size) { return Real(f)->pMethods->xFileSize(Real(f), size); },
    .xLock = [](sqlite3_file* f, int lock) { return Real(f)->pMethods->xLock(Real(f), lock); },
    .xUnlock = [](sqlite3_file* f, int lock) { return Real(f)->pMethods->xUnlock(Real(f), lock); },
    .xCheckReservedLock =
        [](sqlite3_file* f, int* held) {
          return Real(f)->pMethods->xCheckReservedLock(Real(f), held);
        },
    .xFileControl =
        [](sqlite3_file* f, int op, void* argument) {
          return Real(f)->pMethods->xFileControl(Real(f), op, argument);
        },
    .xSectorSize = [](sqlite3_file* f) { return Real(f)->pMethods->xSectorSize(Real(f)); },
    .xDeviceCharacteristics =
        [](sqlite3_file* f) { return Real(f)->pMethods->xDeviceCharacteristics(Real(f)); },
    .xShmMap =
        [](sqlite3_file* f, int page, int size, int extend, void volatile** memory) {
          return Real(f)->pMethods->xShmMap(Real(f), page, size, extend, memory);
        },
    .xShmLock = [](sqlite3_file* f, int offset, int n,
                   int flags) { return Real(f)->pMethods->xShmLock(Real(f), offset, n, flags); },
    .xShmBarrier = [](sqlite3_file* f) { Real(f)->pMethods->xShmBarrier(Real(f)); },
    .xShmUnmap = [](sqlite3_file* f,
                    int remove) { return Real(f)->pMethods->xShmUnmap(Real(f), remove); },
    .xFetch = [](sqlite3_file* f, sqlite3_int64 at, int size,
                 void** memory) { return Real(f)->pMethods->xFetch(Real(f), at, size, memory); },
    .xUnfetch = [](sqlite3_file* f, sqlite3_int64 at,
                   void* memory) { return Real(f)->pMethods->xUnfetch(Real(f), at, memory); },
};

int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  sqlite3_file* real = Real(file);
  real->pMethods = nullptr;
  const int code = RealVfs(vfs)->xOpen(RealVfs(vfs), name, real, flags, out_flags);
  // SQLite closes a file only if it has methods.
  file->pMethods = real->pMethods == nullptr ? nullptr : &kMethods;
  return code;
}

int Delete(sqlite3_vfs* vfs, const char* name, int sync_directory) {
  G2LL_FAILPOINT("store.vfs.delete.before");
  const int code = RealVfs(vfs)->xDelete(RealVfs(vfs), name, sync_directory);
  G2LL_FAILPOINT("store.vfs.delete.after");
  return code;
}

}  // namespace

void InstallFaultVfs() {
  // SQLite keeps the pointer until the process ends.
  static sqlite3_vfs vfs = {};
  sqlite3_vfs* real = sqlite3_vfs_find(nullptr);
  // Its other functions do not look at the VFS that they are called with.
  vfs = *real;
  vfs.zName = "g2ll-fault";
  vfs.pNext = nullptr;
  vfs.pAppData = real;
  vfs.szOsFile = static_cast<int>(sizeof(FaultFile)) + real->szOsFile;
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  sqlite3_vfs_register(&vfs, 1);
}

}  // namespace g2ll::store
