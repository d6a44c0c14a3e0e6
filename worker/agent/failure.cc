#include "worker/agent/failure.h"

#include <signal.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"

namespace g2ll::agent {
namespace {

v1::Failure::Class ClassOfExit(int exit_code) {
  switch (static_cast<TrainerExit>(exit_code)) {
    case TrainerExit::kConfig:
      return v1::Failure::CONFIG;
    case TrainerExit::kData:
      return v1::Failure::DATA;
    case TrainerExit::kNonFinite:
      return v1::Failure::NON_FINITE;
    case TrainerExit::kOutOfMemory:
      return v1::Failure::OUT_OF_MEMORY;
    case TrainerExit::kCollective:
      return v1::Failure::COLLECTIVE;
    case TrainerExit::kDone:
    case TrainerExit::kPreempted:
    case TrainerExit::kFenced:
      break;
  }
  return v1::Failure::UNKNOWN;
}

bool EndedWell(const RankEnd& end) {
  if (end.status.signal != 0 || end.failed) return false;
  switch (static_cast<TrainerExit>(end.status.exit_code)) {
    case TrainerExit::kDone:
    case TrainerExit::kPreempted:
    case TrainerExit::kFenced:
      return true;
    default:
      return false;
  }
}

std::string Describe(const RankEnd& end) {
  std::string text = "rank " + std::to_string(end.rank) + " (process " + std::to_string(end.pid);
  if (end.status.signal == 0) {
    text += ") ended with exit code " + std::to_string(end.status.exit_code);
  } else {
    const char* name = ::sigabbrev_np(end.status.signal);
    text += ") was ended by SIG" + std::string(name != nullptr ? name : "?");
  }
  if (!end.last_lines.empty()) text += "; last lines:";
  for (const std::string& line : end.last_lines) text += " | " + line;
  return text;
}

}  // namespace

bool IsHardwareFault(std::string_view text) {
  const std::string lower = absl::AsciiStrToLower(absl::string_view(text.data(), text.size()));
  for (const char* sign : {"uncorrectable ecc", "ecc_uncorrectable", "fallen off the bus",
                           "gpu is lost", "nvrm: xid", "hardware stack error", "nvlink error"}) {
    if (lower.find(sign) != std::string::npos) return true;
  }
  return false;
}

std::optional<v1::Failure> ClassifyEnd(const RankEnd& end) {
  if (EndedWell(end)) return std::nullopt;
  v1::Failure failure;
  failure.set_rank(end.rank);
  failure.set_exit_code(end.status.exit_code);
  failure.set_signal(end.status.signal);
  bool is_hardware = std::any_of(end.last_lines.begin(), end.last_lines.end(), IsHardwareFault);
  if (end.failed) {
    failure.set_class_(end.failed->class_());
    failure.set_message(end.failed->message());
    is_hardware = is_hardware || IsHardwareFault(end.failed->message());
  } else if (end.status.signal == 0) {
    failure.set_class_(ClassOfExit(end.status.exit_code));
    failure.set_message(Describe(end));
  } else if (end.status.signal == SIGKILL && end.out_of_memory) {
    failure.set_class_(v1::Failure::OUT_OF_MEMORY);
    failure.set_message(
        "the kernel ended the rank because memory ran out: give the host more, or "
        "the job fewer ranks for each host; " +
        Describe(end));
  } else {
    failure.set_class_(end.status.signal == SIGKILL ? v1::Failure::KILLED : v1::Failure::UNKNOWN);
    failure.set_message(Describe(end));
  }
  if (is_hardware) failure.set_class_(v1::Failure::HARDWARE);
  return failure;
}

bool IsBetterCause(const v1::Failure& candidate, const v1::Failure& current) {
  return current.class_() == v1::Failure::COLLECTIVE &&
         candidate.class_() != v1::Failure::COLLECTIVE;
}

}  // namespace g2ll::agent
