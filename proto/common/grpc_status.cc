#include "proto/common/grpc_status.h"

#include <grpcpp/support/status.h>

#include <optional>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "proto/common/log.h"

namespace g2ll::net {
namespace {

constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kDomain[] = "g2ll";
// A peer drops the end of a call whose headers are more than 8 KiB, and with it the
// code. Ours take at most so many, encoded as gRPC does; others come beside them.
constexpr size_t kMostHeaderBytes = 7 * 1024;
constexpr size_t kMostMessageHeaderBytes = 4 * 1024;
constexpr size_t kMostMetadataBytes = 256;  // of one value
constexpr size_t kMostFieldBytes = 200;
constexpr size_t kMostDescriptionBytes = 400;

template <typename Message>
std::optional<Message> Payload(const absl::Status& status, const char* url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  Message message;
  if (!payload || !message.ParseFromString(std::string(*payload))) return std::nullopt;
  return message;
}

std::string PlainText(std::string_view text, size_t most) {
  return std::string(log::CutUtf8(log::EscapeControl(text), most));
}

// Bytes of headers that one byte of a message takes, and binary details take: gRPC
// sends the former with percent signs and the latter in base64.
size_t PercentBytes(char c) { return c >= ' ' && c <= '~' && c != '%' ? 1 : 3; }
size_t Base64Bytes(size_t details) { return (details + 2) / 3 * 4; }

// One plain line that leaves room for details, within which it is sent once more.
std::string ShownMessage(std::string_view message) {
  std::string text = log::EscapeControl(message);
  size_t bytes = 0;
  size_t end = 0;
  while (end < text.size() && bytes < kMostMessageHeaderBytes) {
    bytes += PercentBytes(text[end++]) + 2;
  }
  if (end == text.size()) return text;
  return std::string(log::CutUtf8(text, end)) + "...";
}

// Adds as many of the bad fields, from the first on, as `room` bytes take.
void AddBadRequest(const std::string& payload, size_t room, google::rpc::Status* details) {
  google::rpc::BadRequest all;
  if (!all.ParseFromString(payload)) return;
  google::rpc::BadRequest some;
  for (const auto& violation : all.field_violations()) {
    *some.add_field_violations() = violation;
    if (some.ByteSizeLong() > room) {
      some.mutable_field_violations()->RemoveLast();
      break;
    }
  }
  if (some.field_violations().empty()) return;
  auto* detail = details->add_details();
  detail->set_type_url(kBadRequestUrl);
  detail->set_value(some.SerializeAsString());
}

}  // namespace

absl::Status WithReason(absl::Status status, std::string_view reason,
                        const std::map<std::string, std::string>& metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(kDomain);
  for (const auto& [key, value] : metadata) {
    (*info.mutable_metadata())[key] = PlainText(value, kMostMetadataBytes);
  }
  status.SetPayload(kErrorInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status WithViolations(absl::Status status, const std::vector<FieldViolation>& violations) {
  google::rpc::BadRequest request;
  for (const FieldViolation& violation : violations) {
    auto* added = request.add_field_violations();
    added->set_field(PlainText(violation.field, kMostFieldBytes));
    added->set_description(PlainText(violation.description, kMostDescriptionBytes));
  }
  status.SetPayload(kBadRequestUrl, absl::Cord(request.SerializeAsString()));
  return status;
}

std::string ReasonOf(const absl::Status& status) {
  const auto info = Payload<google::rpc::ErrorInfo>(status, kErrorInfoUrl);
  return info ? info->reason() : "";
}

std::map<std::string, std::string> MetadataOf(const absl::Status& status) {
  const auto info = Payload<google::rpc::ErrorInfo>(status, kErrorInfoUrl);
  if (!info) return {};
  return {info->metadata().begin(), info->metadata().end()};
}

std::vector<FieldViolation> ViolationsOf(const absl::Status& status) {
  std::vector<FieldViolation> violations;
  if (const auto request = Payload<google::rpc::BadRequest>(status, kBadRequestUrl)) {
    for (const auto& violation : request->field_violations()) {
      violations.push_back({violation.field(), violation.description()});
    }
  }
  return violations;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = ShownMessage(std::string(status.message()));
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  std::string bad_request;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    if (url == kBadRequestUrl) {
      bad_request = std::string(payload);
      return;
    }
    auto* detail = details.add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(payload));
  });
  // Last, as there may be many.
  constexpr size_t kFrame = 64;  // the URL and lengths
  size_t used = Base64Bytes(details.ByteSizeLong() + kFrame);
  for (const char c : message) used += PercentBytes(c);
  if (used < kMostHeaderBytes) {
    AddBadRequest(bad_request, (kMostHeaderBytes - used) / 4 * 3, &details);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      details.details().empty() ? "" : details.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (!status.error_details().empty() && details.ParseFromString(status.error_details())) {
    for (const auto& detail : details.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

}  // namespace g2ll::net
