#include "server/api/create_request.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/spec_validation.h"
#include "proto/common/status_macros.h"
#include "server/storage/sha256.h"
#include "server/wire/job_wire.h"

namespace g2ll::api {
namespace {

constexpr size_t kMostSpecBytes = size_t{1} << 20;
constexpr size_t kMostRequestIdBytes = 128;
constexpr char kParentPrefix[] = "projects/";

net::FieldViolation Bad(const std::string& field, const std::string& given,
                        const std::string& allowed) {
  return {field, spec::Violation{field, given, allowed}.Description()};
}

// Equal for specs about whose data a worker is asked the same.
uint64_t DataKeyOf(const v1::JobSpec& job_spec) {
  const std::string asked = absl::StrCat(static_cast<int>(job_spec.kind_case()), "/",
                                         static_cast<int>(job_spec.pretrain().method()), "/",
                                         wire::SerializeDeterministic(spec::Data(job_spec)));
  return std::stoull(storage::Sha256Hex(asked).substr(0, 16), nullptr, 16);
}

}  // namespace

absl::StatusOr<std::string> ReadParent(const std::string& parent) {
  if (parent.empty()) {
    return std::string("default");
  }
  const std::string project =
      parent.starts_with(kParentPrefix) ? parent.substr(sizeof(kParentPrefix) - 1) : std::string();
  if (!spec::IsValidName(project)) {
    return net::WithReason(
        net::WithViolations(
            absl::InvalidArgumentError("the request has a bad field: parent"),
            {Bad("parent", parent,
                 absl::StrCat("projects/NAME, a name being ", spec::kNameAllowed))}),
        "INVALID_SPEC");
  }
  return project;
}

absl::StatusOr<coordinator::CreateJobCommand> ReadCreateRequest(
    const v1::CreateJobRequest& request) {
  coordinator::CreateJobCommand command;
  std::vector<net::FieldViolation> violations;
  G2LL_ASSIGN_OR_RETURN(command.job.project, ReadParent(request.parent()));
  if (!spec::IsValidName(request.job_id())) {
    violations.push_back(Bad("metadata.name", request.job_id(), spec::kNameAllowed));
  }
  if (request.request_id().size() > kMostRequestIdBytes) {
    violations.push_back(
        Bad("requestId", "more", absl::StrCat("at most ", kMostRequestIdBytes, " characters")));
  }
  v1::JobSpec job_spec = request.job().spec();
  if (job_spec.ByteSizeLong() > kMostSpecBytes) {
    violations.push_back(Bad("spec", absl::StrCat(job_spec.ByteSizeLong(), " bytes"),
                             absl::StrCat("at most ", kMostSpecBytes, " bytes")));
  } else {
    spec::ApplyDefaults(&job_spec);
    for (const spec::Violation& violation : spec::Validate(job_spec)) {
      violations.push_back({violation.field, violation.Description()});
    }
  }
  command.job.labels = {request.job().labels().begin(), request.job().labels().end()};
  for (const spec::Violation& violation : spec::ValidateLabels(command.job.labels)) {
    violations.push_back({violation.field, violation.Description()});
  }
  if (!violations.empty()) {
    return net::WithReason(
        net::WithViolations(
            absl::InvalidArgumentError(absl::StrCat(
                violations.front().field, ": ", violations.front().description,
                violations.size() == 1
                    ? ""
                    : absl::StrCat(" (and ", violations.size() - 1, " more bad fields)"))),
            violations),
        "INVALID_SPEC");
  }
  command.job.name = request.job_id();
  wire::ReadSpec(job_spec, &command.job);
  command.job.data_key = DataKeyOf(job_spec);
  command.depends_on = spec::DependsOn(job_spec);
  command.request_id = request.request_id();
  command.validate_only = request.validate_only();
  command.fingerprint = storage::Sha256Hex(wire::SerializeDeterministic(request));
  return command;
}

}  // namespace g2ll::api
