#include "server/api/update_request.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/common/grpc_status.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/spec_validation.h"
#include "proto/common/status_macros.h"
#include "server/wire/job_wire.h"

namespace g2ll::api {
namespace {

using cluster::JobRecord;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::string_view kSpecPrefix = "spec.";
constexpr std::array<const char*, 8> kPaths = {"labels",
                                               "spec.policy.priority",
                                               "spec.policy.max_retries",
                                               "spec.policy.max_infra_retries",
                                               "spec.policy.preemptible",
                                               "spec.policy.max_runtime",
                                               "spec.policy.queue",
                                               "spec.resources.ranks"};

absl::Status BadFields(const std::vector<net::FieldViolation>& violations) {
  return net::WithReason(
      net::WithViolations(absl::InvalidArgumentError(absl::StrCat(violations.front().field, ": ",
                                                                  violations.front().description)),
                          violations),
      "INVALID_SPEC");
}

// Copies the field `path` (below a kind's message, two names) from one message of a
// kind to another of the same kind. Unset in `from` clears it.
void CopyField(const Message& from, std::string_view path, Message* to) {
  const size_t dot = path.find('.');
  const std::string group_name(path.substr(0, dot));
  const std::string field_name(path.substr(dot + 1));
  const FieldDescriptor* from_group = from.GetDescriptor()->FindFieldByName(group_name);
  const FieldDescriptor* to_group = to->GetDescriptor()->FindFieldByName(group_name);
  const Message& source = from.GetReflection()->GetMessage(from, from_group);
  Message* target = to->GetReflection()->MutableMessage(to, to_group);
  const FieldDescriptor* field = source.GetDescriptor()->FindFieldByName(field_name);
  target->GetReflection()->ClearField(target, field);
  if (!source.GetReflection()->HasField(source, field)) {
    return;
  }
  // A copy of the group with nothing else set.
  std::unique_ptr<Message> only(source.New());
  only->CopyFrom(source);
  std::vector<const FieldDescriptor*> fields;
  source.GetReflection()->ListFields(source, &fields);
  for (const FieldDescriptor* other : fields) {
    if (other != field) {
      only->GetReflection()->ClearField(only.get(), other);
    }
  }
  target->MergeFrom(*only);
}

absl::Status ChangeSpec(const v1::JobSpec& wanted, const std::vector<std::string>& paths,
                        JobRecord& job) {
  v1::JobSpec changed;
  // Only this program writes these bytes.
  changed.ParseFromString(*job.spec);
  if (spec::KindName(wanted) != spec::KindName(changed)) {
    return BadFields({{"spec", absl::StrCat("given ", std::string(spec::KindName(wanted)),
                                            ", allowed: the kind that the job has, ",
                                            std::string(spec::KindName(changed)))}});
  }
  for (const std::string& path : paths) {
    CopyField(*spec::KindMessage(wanted), std::string_view(path).substr(kSpecPrefix.size()),
              spec::MutableKindMessage(&changed));
  }
  // What was cleared gets its default again.
  spec::ApplyDefaults(&changed);
  std::vector<net::FieldViolation> violations;
  for (const spec::Violation& violation : spec::Validate(changed)) {
    violations.push_back({violation.field, violation.Description()});
  }
  if (!violations.empty()) {
    return BadFields(violations);
  }
  wire::ReadSpec(changed, &job);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<coordinator::JobChange> ReadUpdateRequest(const v1::UpdateJobRequest& request) {
  std::vector<net::FieldViolation> violations;
  std::vector<std::string> spec_paths;
  bool labels = false;
  for (const std::string& path : request.update_mask().paths()) {
    if (std::find(kPaths.begin(), kPaths.end(), path) == kPaths.end()) {
      violations.push_back(
          {"updateMask", absl::StrCat("given '", path.substr(0, 100),
                                      "', allowed: ", absl::StrJoin(kPaths, ", "))});
    } else if (path == "labels") {
      labels = true;
    } else {
      spec_paths.push_back(path);
    }
  }
  if (request.update_mask().paths().empty()) {
    violations.push_back({"updateMask", absl::StrCat("given nothing, allowed: some of ",
                                                     absl::StrJoin(kPaths, ", "))});
  }
  const std::map<std::string, std::string> wanted_labels{request.job().labels().begin(),
                                                         request.job().labels().end()};
  if (labels) {
    for (const spec::Violation& violation : spec::ValidateLabels(wanted_labels)) {
      violations.push_back({violation.field, violation.Description()});
    }
  }
  if (!violations.empty()) {
    return BadFields(violations);
  }
  return coordinator::JobChange(
      [labels, wanted_labels, spec_paths, spec = request.job().spec()](JobRecord& job) {
        if (labels) {
          job.labels = wanted_labels;
        }
        return spec_paths.empty() ? absl::OkStatus() : ChangeSpec(spec, spec_paths, job);
      });
}

}  // namespace g2ll::api
