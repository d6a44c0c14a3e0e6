#include "worker/job/outcome.h"

#include <torch/torch.h>

#include <exception>
#include <new>
#include <string>

#include "worker/dist/collective.h"
#include "worker/train/failure.h"

namespace g2ll::job {
namespace {

using train::FailureKind;
using train::WithFailure;

// LibTorch's messages carry a stack trace after their first line.
std::string FirstLine(const std::exception& e) {
  const std::string text = e.what();
  return text.substr(0, text.find('\n'));
}

// The CPU allocator and CUDA report memory that ran out as an ordinary error.
bool IsOutOfMemory(const std::string& message) {
  return message.find("not enough memory") != std::string::npos ||
         message.find("out of memory") != std::string::npos ||
         message.find("can't allocate memory") != std::string::npos;
}

}  // namespace

absl::Status CatchExceptions(const std::function<absl::Status()>& run) {
  const std::string advice = "; use a smaller train.globalBatch or more ranks";
  try {
    return run();
  } catch (const dist::CollectiveError& e) {
    return WithFailure(absl::UnavailableError(e.what()), FailureKind::kCollective);
  } catch (const std::bad_alloc&) {
    return WithFailure(absl::ResourceExhaustedError("out of memory" + advice),
                       FailureKind::kOutOfMemory);
  } catch (const std::exception& e) {
    const std::string message = FirstLine(e);
    if (IsOutOfMemory(message)) {
      return WithFailure(absl::ResourceExhaustedError(message + advice), FailureKind::kOutOfMemory);
    }
    return absl::InternalError(message);
  }
}

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return 0;
  switch (train::FailureOf(status)) {
    case FailureKind::kPreempted:
      return 75;
    case FailureKind::kFenced:
      return 76;
    case FailureKind::kConfig:
      return 77;
    case FailureKind::kData:
      return 78;
    case FailureKind::kNonFinite:
      return 79;
    case FailureKind::kOutOfMemory:
      return 80;
    case FailureKind::kCollective:
      return 81;
    case FailureKind::kStorage:
    case FailureKind::kUnknown:
      return 1;
  }
  return 1;
}

v1::Failure::Class FailureClassOf(const absl::Status& status) {
  if (status.ok()) return v1::Failure::CLASS_UNSPECIFIED;
  switch (train::FailureOf(status)) {
    case FailureKind::kPreempted:
    case FailureKind::kFenced:
      return v1::Failure::CLASS_UNSPECIFIED;
    case FailureKind::kConfig:
      return v1::Failure::CONFIG;
    case FailureKind::kData:
      return v1::Failure::DATA;
    case FailureKind::kNonFinite:
      return v1::Failure::NON_FINITE;
    case FailureKind::kOutOfMemory:
      return v1::Failure::OUT_OF_MEMORY;
    case FailureKind::kCollective:
      return v1::Failure::COLLECTIVE;
    case FailureKind::kStorage:
      return v1::Failure::STORAGE;
    case FailureKind::kUnknown:
      return v1::Failure::UNKNOWN;
  }
  return v1::Failure::UNKNOWN;
}

}  // namespace g2ll::job
