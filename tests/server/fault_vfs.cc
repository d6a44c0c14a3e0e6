#include "tests/server/fault_vfs.h"

#include <unistd.h>

#include <new>
#include <optional>

namespace g2ll::testing {
namespace {

// SQLite's interface is C: what its functions share is here.
struct State {
  sqlite3_vfs vfs = {};
  sqlite3_vfs* real = nullptr;
  std::optional<FaultVfs::Fault> fault;
  int64_t at = 0;
  bool stays = false;
  int64_t operations = 0;
};
State state;

struct File {
  sqlite3_file base;
  // The real file follows in the same memory.
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }

// Whether the operation that begins now fails.
bool FailsNow(bool is_sync) {
  if (!state.fault.has_value() || (*state.fault == FaultVfs::Fault::kSyncError && !is_sync)) {
    return false;
  }
  ++state.operations;
  const bool fails = state.operations == state.at || (state.stays && state.operations > state.at);
  if (fails && *state.fault == FaultVfs::Fault::kCrash) {
    _exit(7);
  }
  return fails;
}

int Write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  if (!FailsNow(false)) {
    return Real(file)->pMethods->xWrite(Real(file), bytes, size, offset);
  }
  if (*state.fault == FaultVfs::Fault::kShortWrite) {
    Real(file)->pMethods->xWrite(Real(file), bytes, size / 2, offset);
  }
  return *state.fault == FaultVfs::Fault::kDiskFull ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return FailsNow(false) ? SQLITE_IOERR_TRUNCATE
                         : Real(file)->pMethods->xTruncate(Real(file), size);
}

int Sync(sqlite3_file* file, int flags) {
  return FailsNow(true) ? SQLITE_IOERR_FSYNC : Real(file)->pMethods->xSync(Real(file), flags);
}

int Delete(sqlite3_vfs*, const char* name, int sync_directory) {
  return FailsNow(false) ? SQLITE_IOERR_DELETE
                         : state.real->xDelete(state.real, name, sync_directory);
}

const sqlite3_io_methods kMethods = {
    3,
    [](sqlite3_file* file) {
      const int code = Real(file)->pMethods->xClose(Real(file));
      file->pMethods = nullptr;
      return code;
    },
    [](sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
      return Real(file)->pMethods->xRead(Real(file), to, size, offset);
    },
    Write,
    Truncate,
    Sync,
    [](sqlite3_file* file, sqlite3_int64* size) {
      return Real(file)->pMethods->xFileSize(Real(file), size);
    },
    [](sqlite3_file* file, int level) { return Real(file)->pMethods->xLock(Real(file), level); },
    [](sqlite3_file* file, int level) { return Real(file)->pMethods->xUnlock(Real(file), level); },
    [](sqlite3_file* file, int* held) {
      return Real(file)->pMethods->xCheckReservedLock(Real(file), held);
    },
    [](sqlite3_file* file, int operation, void* argument) {
      return Real(file)->pMethods->xFileControl(Real(file), operation, argument);
    },
    [](sqlite3_file* file) { return Real(file)->pMethods->xSectorSize(Real(file)); },
    [](sqlite3_file* file) { return Real(file)->pMethods->xDeviceCharacteristics(Real(file)); },
    [](sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
      return Real(file)->pMethods->xShmMap(Real(file), page, size, extend, memory);
    },
    [](sqlite3_file* file, int offset, int count, int flags) {
      return Real(file)->pMethods->xShmLock(Real(file), offset, count, flags);
    },
    [](sqlite3_file* file) { Real(file)->pMethods->xShmBarrier(Real(file)); },
    [](sqlite3_file* file, int remove) {
      return Real(file)->pMethods->xShmUnmap(Real(file), remove);
    },
    [](sqlite3_file* file, sqlite3_int64 offset, int size, void** memory) {
      return Real(file)->pMethods->xFetch(Real(file), offset, size, memory);
    },
    [](sqlite3_file* file, sqlite3_int64 offset, void* memory) {
      return Real(file)->pMethods->xUnfetch(Real(file), offset, memory);
    },
};

int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto* opened = reinterpret_cast<File*>(file);
  const int code = state.real->xOpen(state.real, name, opened->real(), flags, out_flags);
  opened->base.pMethods = opened->real()->pMethods == nullptr ? nullptr : &kMethods;
  return code;
}

}  // namespace

FaultVfs::FaultVfs() {
  state = State();
  state.real = sqlite3_vfs_find(nullptr);
  // Everything that is not said here is done by the real one.
  state.vfs = *state.real;
  state.vfs.zName = "fault";
  state.vfs.pNext = nullptr;
  state.vfs.szOsFile = static_cast<int>(sizeof(File)) + state.real->szOsFile;
  state.vfs.xOpen = Open;
  state.vfs.xDelete = Delete;
  sqlite3_vfs_register(&state.vfs, 1);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&state.vfs);
  sqlite3_vfs_register(state.real, 1);
}

void FaultVfs::Arm(Fault fault, int64_t at, bool stays) {
  state.fault = fault;
  state.at = at;
  state.stays = stays;
  state.operations = 0;
}

void FaultVfs::Disarm() { state.fault.reset(); }

int64_t FaultVfs::operations() const { return state.operations; }

}  // namespace g2ll::testing
