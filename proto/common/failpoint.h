#ifndef PROTO_COMMON_FAILPOINT_H_
#define PROTO_COMMON_FAILPOINT_H_

#include <atomic>
#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "proto/common/failpoint_names.h"

// Places at which a process can be made to die, wait or fail, for tests and for
// rehearsals (docs/testing.md). They are there only in a build with the CMake option
// G2LL_FAILPOINTS; elsewhere the macros are nothing. Where they are there and nothing
// is armed, a point costs one relaxed load.
namespace g2ll::failpoint {

#ifdef G2LL_FAILPOINTS
inline constexpr bool kBuilt = true;
#else
inline constexpr bool kBuilt = false;
#endif

// Arms points by `name[:hit]=action[;...]`. Hits count from 1; without one every hit
// acts. The name `*` is every point. Actions:
//   crash        the process kills itself with SIGKILL
//   sleep=MS     the thread waits
//   error=CODE   the place fails with this status, for example UNAVAILABLE, where it can
//   partial=N    only N bytes are written, then as crash, where something is written
//   trace=FILE   appends a line `name hit` to FILE
// Replaces what was armed; empty text disarms. Errors: InvalidArgument that names the faulty entry;
// FailedPrecondition if this build has no points. No thread may be at a point meanwhile.
absl::Status Arm(std::string_view text);

// Whether anything is armed.
inline std::atomic<bool> armed = false;

// What the macros call; `point` is an index into kNames. Thread safe.
// Error: what an `error` action asks for.
absl::Status Hit(size_t point);
// How many of `size` bytes are to be written; fewer than `size` only for `partial`,
// after which the caller calls Crash.
size_t Cut(size_t point, size_t size);
// As `crash`.
[[noreturn]] void Crash();

}  // namespace g2ll::failpoint

#ifdef G2LL_FAILPOINTS

// The status that the point should fail with, mostly OK.
#define G2LL_FAILPOINT_ERROR(name)                                \
  (::g2ll::failpoint::armed.load(std::memory_order_relaxed)       \
       ? ::g2ll::failpoint::Hit(::g2ll::failpoint::IndexOf(name)) \
       : ::absl::OkStatus())
// A point where the code cannot fail.
#define G2LL_FAILPOINT(name) G2LL_FAILPOINT_ERROR(name).IgnoreError()
// A point in a function that returns absl::Status or absl::StatusOr.
#define G2LL_FAILPOINT_STATUS(name)                                                     \
  do {                                                                                  \
    if (::absl::Status g2ll_failed_ = G2LL_FAILPOINT_ERROR(name); !g2ll_failed_.ok()) { \
      return g2ll_failed_;                                                              \
    }                                                                                   \
  } while (false)
// A point before `size` bytes are written: the number of them that are to be.
#define G2LL_FAILPOINT_CUT(name, size)                                    \
  (::g2ll::failpoint::armed.load(std::memory_order_relaxed)               \
       ? ::g2ll::failpoint::Cut(::g2ll::failpoint::IndexOf(name), (size)) \
       : (size))

#else

#define G2LL_FAILPOINT_ERROR(name) (::absl::OkStatus())
#define G2LL_FAILPOINT(name) static_cast<void>(0)
#define G2LL_FAILPOINT_STATUS(name) static_cast<void>(0)
#define G2LL_FAILPOINT_CUT(name, size) (size)

#endif

#endif  // PROTO_COMMON_FAILPOINT_H_
