#include "client/cli/exit_code.h"

#include <string>

#include "proto/common/grpc_status.h"

namespace g2ll::cli {

int ExitCodeOf(const absl::Status& status) {
  const std::string reason = net::ReasonOf(status);
  // What the job file names cannot be used: the input is wrong, not the moment.
  if (reason == "DATASET_NOT_FOUND") return kBadInput;
  if (reason == "SOURCE_NOT_FOUND") return kNotFound;
  if (reason == "LOCAL_WRITE_FAILED") return kFailed;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kDone;
    case absl::StatusCode::kCancelled:
      return kInterrupted;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return kBadInput;
    case absl::StatusCode::kUnavailable:
      return kUnreachable;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnimplemented:
      return kRefused;
    case absl::StatusCode::kDeadlineExceeded:
      return kTimedOut;
    default:
      return kFailed;
  }
}

int ExitCodeOf(v1::Job::State state) {
  if (state == v1::Job::SUCCEEDED) return kDone;
  return state == v1::Job::CANCELLED ? kCancelled : kFailed;
}

bool HasEnded(v1::Job::State state) {
  return state == v1::Job::SUCCEEDED || state == v1::Job::FAILED || state == v1::Job::CANCELLED;
}

}  // namespace g2ll::cli
