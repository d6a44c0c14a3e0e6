#include "proto/common/grpc_status.h"

#include <grpcpp/support/status.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace g2ll::net {
namespace {

constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kDomain[] = "g2ll";
// A status travels in headers, of which a client takes 8 KiB: the message with its
// escapes, and the details, of which base64 makes a third more.
constexpr size_t kMaxMessage = 2048;
constexpr size_t kMaxDetails = 3072;

template <typename Message>
std::optional<Message> Payload(const absl::Status& status, const char* url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  Message message;
  if (!payload || !message.ParseFromString(std::string(*payload))) return std::nullopt;
  return message;
}

// Bytes of a character in a header.
size_t EscapedSize(char c) { return c >= ' ' && c <= '~' && c != '%' ? 1 : 3; }

// Cuts at a character, not inside one.
std::string Shortened(std::string message) {
  size_t escaped = 0;
  size_t end = 0;
  while (end < message.size() && escaped + EscapedSize(message[end]) <= kMaxMessage) {
    escaped += EscapedSize(message[end++]);
  }
  if (end == message.size()) return message;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0) == 0x80) --end;
  message.resize(end);
  return message + "...";
}

// As many bad fields as fit, and a last one that counts the others.
std::string ShortenedViolations(const std::string& payload, size_t room) {
  google::rpc::BadRequest request;
  if (payload.size() <= room || !request.ParseFromString(payload)) return payload;
  google::rpc::BadRequest kept;
  int count = 0;
  for (const auto& violation : request.field_violations()) {
    if (kept.ByteSizeLong() + violation.ByteSizeLong() + 64 > room) break;
    *kept.add_field_violations() = violation;
    ++count;
  }
  auto* rest = kept.add_field_violations();
  rest->set_field("...");
  rest->set_description("and " + std::to_string(request.field_violations_size() - count) + " more");
  return kept.SerializeAsString();
}

}  // namespace

absl::Status WithReason(absl::Status status, std::string_view reason,
                        const std::map<std::string, std::string>& metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(kDomain);
  info.mutable_metadata()->insert(metadata.begin(), metadata.end());
  status.SetPayload(kErrorInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status WithViolations(absl::Status status, const std::vector<FieldViolation>& violations) {
  google::rpc::BadRequest request;
  for (const FieldViolation& violation : violations) {
    auto* added = request.add_field_violations();
    added->set_field(violation.field);
    added->set_description(violation.description);
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
  const std::string message = Shortened(std::string(status.message()));
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    std::string value(payload);
    if (url == kBadRequestUrl) {
      value = ShortenedViolations(value, kMaxDetails - std::min(kMaxDetails, message.size()));
    }
    auto* detail = details.add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::move(value));
  });
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
