#ifndef PROTO_COMMON_GRPC_STATUS_H_
#define PROTO_COMMON_GRPC_STATUS_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace grpc {
class Status;
}  // namespace grpc

namespace g2ll::net {

// One bad field of a request, as in google.rpc.BadRequest.
struct FieldViolation {
  std::string field;        // for example `spec.mask.gamma`
  std::string description;  // what was given and what is allowed
};

// `status` with a machine-readable reason (google.rpc.ErrorInfo, domain `g2ll`),
// for example `JOB_NOT_FOUND`. Values of `metadata` are escaped and cut at 256 bytes.
// An OK status stays as it is.
absl::Status WithReason(absl::Status status, std::string_view reason,
                        const std::map<std::string, std::string>& metadata = {});

// `status` with a list of bad fields, whose texts are escaped and cut. An OK status
// stays as it is.
absl::Status WithViolations(absl::Status status, const std::vector<FieldViolation>& violations);

// Reason of `status`; empty if it has none.
std::string ReasonOf(const absl::Status& status);

// Metadata of the reason; empty if there is none.
std::map<std::string, std::string> MetadataOf(const absl::Status& status);

// Bad fields of `status`; empty if it names none.
std::vector<FieldViolation> ViolationsOf(const absl::Status& status);

// To the wire: reason and violations become a google.rpc.Status in the binary
// error details. As gRPC sends all of it as headers, which a peer takes up to 8 KiB,
// a long message is cut and only the first violations that fit are told. A message
// becomes one line without control characters.
grpc::Status ToGrpcStatus(const absl::Status& status);

// From the wire. Details that cannot be read are left out.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace g2ll::net

#endif  // PROTO_COMMON_GRPC_STATUS_H_
