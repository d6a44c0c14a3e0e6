#include "worker/train/failure.h"

#include <optional>

#include "absl/strings/cord.h"

namespace g2ll::train {
namespace {

constexpr char kPayload[] = "g2ll/failure";

}  // namespace

absl::Status WithFailure(absl::Status status, FailureKind kind) {
  if (!status.ok() && !status.GetPayload(kPayload).has_value()) {
    status.SetPayload(kPayload, absl::Cord(std::to_string(static_cast<int>(kind))));
  }
  return status;
}

FailureKind FailureOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return FailureKind::kUnknown;
  return static_cast<FailureKind>(std::stoi(std::string(*payload)));
}

}  // namespace g2ll::train
