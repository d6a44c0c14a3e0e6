#include "proto/common/failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace g2ll::failpoint {
namespace {

struct Action {
  enum class Kind { kCrash, kSleep, kError, kPartial, kTrace };

  Kind kind = Kind::kCrash;
  // Nothing: every hit.
  std::optional<int64_t> hit;
  // Milliseconds of kSleep, bytes of kPartial.
  int64_t number = 0;
  absl::StatusCode code = absl::StatusCode::kOk;
  // Descriptor of kTrace, open until the process ends.
  int file = -1;
};

// What is armed, by point.
struct Plan {
  std::array<std::vector<Action>, kNames.size()> actions;
  absl::Mutex mutex;
  std::array<int64_t, kNames.size()> hits ABSL_GUARDED_BY(mutex) = {};
};

// Lives until the process ends, because threads hit points up to then. Written by
// Arm before they start.
std::unique_ptr<Plan>& ThePlan() {
  static auto* const plan = new std::unique_ptr<Plan>();
  return *plan;
}

absl::Status Fault(absl::string_view entry, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("G2LL_FAILPOINTS: '", entry, "': ", what));
}

std::optional<absl::StatusCode> ParseCode(absl::string_view name) {
  for (int code = 1; code <= 16; ++code) {
    if (absl::StatusCodeToString(static_cast<absl::StatusCode>(code)) == name) {
      return static_cast<absl::StatusCode>(code);
    }
  }
  return std::nullopt;
}

// Reads what stands behind the first `=` of an entry.
absl::Status ParseAction(absl::string_view entry, absl::string_view text, Action* action) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  const auto& [verb, value] = parts;
  if (verb == "crash" && value.empty()) {
    action->kind = Action::Kind::kCrash;
    return absl::OkStatus();
  }
  if (verb == "sleep" || verb == "partial") {
    action->kind = verb == "sleep" ? Action::Kind::kSleep : Action::Kind::kPartial;
    if (!absl::SimpleAtoi(value, &action->number) || action->number < 0) {
      return Fault(entry, absl::StrCat(verb, " needs a number that is not negative"));
    }
    return absl::OkStatus();
  }
  if (verb == "error") {
    action->kind = Action::Kind::kError;
    const std::optional<absl::StatusCode> code = ParseCode(value);
    if (!code.has_value()) {
      return Fault(entry, "error needs a status code such as UNAVAILABLE");
    }
    action->code = *code;
    return absl::OkStatus();
  }
  if (verb == "trace" && !value.empty()) {
    action->kind = Action::Kind::kTrace;
    action->file =
        open(std::string(value).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return action->file >= 0 ? absl::OkStatus() : Fault(entry, std::strerror(errno));
  }
  return Fault(entry,
               "the action must be crash, sleep=MS, error=CODE, partial=BYTES or trace=FILE");
}

absl::Status AddEntry(absl::string_view entry, Plan* plan) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(entry, absl::MaxSplits('=', 1));
  const std::pair<absl::string_view, absl::string_view> point =
      absl::StrSplit(parts.first, absl::MaxSplits(':', 1));
  Action action;
  if (!point.second.empty()) {
    int64_t hit = 0;
    if (!absl::SimpleAtoi(point.second, &hit) || hit < 1) {
      return Fault(entry, "the hit must be a number from 1 on");
    }
    action.hit = hit;
  }
  if (const absl::Status status = ParseAction(entry, parts.second, &action); !status.ok()) {
    return status;
  }
  const std::string_view name(point.first.data(), point.first.size());
  bool found = false;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name == "*" || name == kNames[i]) {
      plan->actions[i].push_back(action);
      found = true;
    }
  }
  if (!found) {
    return Fault(entry, "no such fail point; g2ll-coordinator --list-failpoints prints all");
  }
  return absl::OkStatus();
}

void Trace(int file, size_t point, int64_t hit) {
  const std::string line =
      absl::StrCat(absl::string_view(kNames[point].data(), kNames[point].size()), " ", hit, "\n");
  // A full disk loses the line and nothing else.
  if (write(file, line.data(), line.size()) < 0) {
    return;
  }
}

int64_t Count(Plan& plan, size_t point) {
  absl::MutexLock lock(&plan.mutex);
  return ++plan.hits[point];
}

// Runs what is armed at a point. Returns the partial action if there is one.
absl::Status Act(size_t point, const Action** partial) {
  Plan& plan = *ThePlan();
  const int64_t hit = Count(plan, point);
  absl::Status result;
  for (const Action& action : plan.actions[point]) {
    if (action.hit.has_value() && *action.hit != hit) {
      continue;
    }
    switch (action.kind) {
      case Action::Kind::kCrash:
        Crash();
      case Action::Kind::kSleep:
        absl::SleepFor(absl::Milliseconds(action.number));
        break;
      case Action::Kind::kError:
        result = absl::Status(action.code,
                              absl::StrCat("fail point ", absl::string_view(kNames[point].data(),
                                                                            kNames[point].size())));
        break;
      case Action::Kind::kPartial:
        *partial = &action;
        break;
      case Action::Kind::kTrace:
        Trace(action.file, point, hit);
        break;
    }
  }
  return result;
}

}  // namespace

absl::Status Arm(std::string_view text) {
  if (text.empty()) {
    armed.store(false);
    return absl::OkStatus();
  }
  if (!kBuilt) {
    return absl::FailedPreconditionError(
        "G2LL_FAILPOINTS is set, but this program was built without fail points: unset it, or "
        "build "
        "with cmake -DG2LL_FAILPOINTS=ON");
  }
  auto plan = std::make_unique<Plan>();
  for (const absl::string_view entry :
       absl::StrSplit(absl::string_view(text.data(), text.size()), ';', absl::SkipEmpty())) {
    if (const absl::Status status = AddEntry(entry, plan.get()); !status.ok()) {
      return status;
    }
  }
  ThePlan() = std::move(plan);
  armed.store(true);
  return absl::OkStatus();
}

absl::Status Hit(size_t point) {
  const Action* partial = nullptr;
  return Act(point, &partial);
}

size_t Cut(size_t point, size_t size) {
  const Action* partial = nullptr;
  Act(point, &partial).IgnoreError();
  return partial == nullptr ? size : std::min(size, static_cast<size_t>(partial->number));
}

void Crash() {
  kill(getpid(), SIGKILL);
  while (true) {
    pause();
  }
}

}  // namespace g2ll::failpoint
