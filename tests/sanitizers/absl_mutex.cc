// Tells ThreadSanitizer what absl::Mutex does. Debian's libabsl is compiled without
// it, so a lock there orders nothing in its eyes and every access under a Mutex
// would be reported. Every program of the preset `tsan` is linked with this file,
// whose definitions come before those of the library, for the library's other users
// too. Each calls the real one between the marks that TSan has for such locks;
// between them it looks at nothing, because a Mutex evaluates the conditions of
// waiting threads while others unlock it.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/base/config.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace {

constexpr unsigned kWrite = 0;
constexpr unsigned kRead = __tsan_mutex_read_lock;

// `MEMBER` is mangled as below the namespace: `5Mutex4LockEv`.
template <typename Function>
Function Real(const char* member) {
  // Such a name is part of the library's binary interface.
  constexpr char kNamespace[] = ABSL_INTERNAL_TOKEN_STR(ABSL_OPTION_INLINE_NAMESPACE_NAME);
  const std::string symbol =
      "_ZN4absl" + std::to_string(sizeof(kNamespace) - 1) + kNamespace + member;
  void* found = dlsym(RTLD_NEXT, symbol.c_str());
  if (found == nullptr) {
    std::fprintf(stderr, "libabsl has no %s: this build cannot check threads\n", symbol.c_str());
    std::abort();
  }
  return reinterpret_cast<Function>(found);
}

// The mutex is taken by what happens while this lives.
class Locking {
 public:
  Locking(void* mutex, unsigned flags) : mutex_(mutex), flags_(flags) {
    __tsan_mutex_pre_lock(mutex_, flags_);
  }
  ~Locking() { __tsan_mutex_post_lock(mutex_, flags_, 0); }
  Locking(const Locking&) = delete;
  Locking& operator=(const Locking&) = delete;
  void Failed() { flags_ |= __tsan_mutex_try_lock_failed; }

 private:
  void* const mutex_;
  unsigned flags_;
};

class Unlocking {
 public:
  Unlocking(void* mutex, unsigned flags) : mutex_(mutex), flags_(flags) {
    __tsan_mutex_pre_unlock(mutex_, flags_);
  }
  ~Unlocking() { __tsan_mutex_post_unlock(mutex_, flags_); }
  Unlocking(const Unlocking&) = delete;
  Unlocking& operator=(const Unlocking&) = delete;

 private:
  void* const mutex_;
  const unsigned flags_;
};

// Whoever waits lets go of the mutex first and has it again afterwards. Only written
// locks wait in this repository.
void LetGo(void* mutex) { Unlocking marked(mutex, kWrite); }

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

Mutex::~Mutex() {
  static const auto real = Real<void (*)(Mutex*)>("5MutexD1Ev");
  real(this);
  __tsan_mutex_destroy(this, __tsan_mutex_not_static);
}

void Mutex::Lock() {
  static const auto real = Real<void (*)(Mutex*)>("5Mutex4LockEv");
  Locking marked(this, kWrite);
  real(this);
}

void Mutex::Unlock() {
  static const auto real = Real<void (*)(Mutex*)>("5Mutex6UnlockEv");
  Unlocking marked(this, kWrite);
  real(this);
}

bool Mutex::TryLock() {
  static const auto real = Real<bool (*)(Mutex*)>("5Mutex7TryLockEv");
  Locking marked(this, kWrite | __tsan_mutex_try_lock);
  const bool taken = real(this);
  if (!taken) marked.Failed();
  return taken;
}

void Mutex::ReaderLock() {
  static const auto real = Real<void (*)(Mutex*)>("5Mutex10ReaderLockEv");
  Locking marked(this, kRead);
  real(this);
}

void Mutex::ReaderUnlock() {
  static const auto real = Real<void (*)(Mutex*)>("5Mutex12ReaderUnlockEv");
  Unlocking marked(this, kRead);
  real(this);
}

void Mutex::LockWhen(const Condition& condition) {
  static const auto real =
      Real<void (*)(Mutex*, const Condition&)>("5Mutex8LockWhenERKNS0_9ConditionE");
  Locking marked(this, kWrite);
  real(this, condition);
}

// The library's own form calls the one with a deadline, which would be marked twice.
bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  return LockWhenWithDeadline(condition, Now() + timeout);
}

bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  static const auto real = Real<bool (*)(Mutex*, const Condition&, Time)>(
      "5Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  Locking marked(this, kWrite);
  return real(this, condition, deadline);
}

void Mutex::Await(const Condition& condition) {
  static const auto real =
      Real<void (*)(Mutex*, const Condition&)>("5Mutex5AwaitERKNS0_9ConditionE");
  if (condition.Eval()) return;
  LetGo(this);
  Locking marked(this, kWrite);
  real(this, condition);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  return AwaitWithDeadline(condition, Now() + timeout);
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static const auto real = Real<bool (*)(Mutex*, const Condition&, Time)>(
      "5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  if (condition.Eval()) return true;
  LetGo(this);
  Locking marked(this, kWrite);
  return real(this, condition, deadline);
}

void CondVar::Wait(Mutex* mutex) {
  static const auto real = Real<void (*)(CondVar*, Mutex*)>("7CondVar4WaitEPNS0_5MutexE");
  LetGo(mutex);
  Locking marked(mutex, kWrite);
  real(this, mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  return WaitWithDeadline(mutex, Now() + timeout);
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static const auto real =
      Real<bool (*)(CondVar*, Mutex*, Time)>("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  LetGo(mutex);
  Locking marked(mutex, kWrite);
  return real(this, mutex, deadline);
}

ABSL_NAMESPACE_END
}  // namespace absl
