#include "server/api/queue_request.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/field_mask.pb.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "proto/common/spec_validation.h"
#include "proto/common/status_macros.h"
#include "server/api/list_jobs.h"

namespace g2ll::api {
namespace {

constexpr size_t kMostReasonBytes = 1000;
constexpr int32_t kMostCount = 1000000;
constexpr double kMostNumber = 1e12;
constexpr int32_t kLargestPageSize = 1000;
constexpr int32_t kDefaultPageSize = 100;

using Violations = std::vector<net::FieldViolation>;

absl::Status Invalid(const Violations& violations, const char* reason) {
  if (violations.empty()) {
    return absl::OkStatus();
  }
  return net::WithReason(
      net::WithViolations(absl::InvalidArgumentError(absl::StrCat(violations.front().field, ": ",
                                                                  violations.front().description)),
                          violations),
      reason);
}

void CheckCount(const char* field, int64_t given, Violations& violations) {
  if (given < 0 || given > kMostCount) {
    violations.push_back(
        {field, absl::StrCat("given ", given, ", allowed: 0 (no limit) to ", kMostCount)});
  }
}

void CheckNumber(const char* field, double given, double least, Violations& violations) {
  // Written so that NaN is refused too.
  if (!(given >= least && given <= kMostNumber)) {
    violations.push_back(
        {field, absl::StrCat("given ", given, ", allowed: ", least, " to ", kMostNumber)});
  }
}

void CheckQueue(const v1::Queue& queue, Violations& violations) {
  if (!v1::Queue::StopPolicy_IsValid(queue.stop_policy())) {
    violations.push_back(
        {"queue.stop_policy", absl::StrCat("given ", static_cast<int>(queue.stop_policy()),
                                           ", allowed: NONE, HOLD, HOLD_AND_DRAIN")});
  }
  if (queue.reason().size() > kMostReasonBytes) {
    violations.push_back({"queue.reason", absl::StrCat("given ", queue.reason().size(),
                                                       " bytes, allowed: ", kMostReasonBytes)});
  }
  CheckCount("queue.max_waiting_jobs", queue.max_waiting_jobs(), violations);
}

void CheckProject(const v1::Project& project, Violations& violations) {
  CheckCount("project.guaranteed_slots", project.guaranteed_slots(), violations);
  CheckCount("project.max_slots", project.max_slots(), violations);
  CheckCount("project.max_running_jobs", project.max_running_jobs(), violations);
  CheckCount("project.max_waiting_jobs", project.max_waiting_jobs(), violations);
  CheckNumber("project.max_slot_hours", project.max_slot_hours(), 0, violations);
}

cluster::QueueStop StopOf(const v1::Queue& queue) {
  return queue.stop_policy() == v1::Queue::STOP_POLICY_UNSPECIFIED
             ? cluster::QueueStop::kNone
             : static_cast<cluster::QueueStop>(queue.stop_policy());
}

// Every path of a mask must be one of `allowed`, and there must be one.
void CheckMask(const google::protobuf::FieldMask& mask, const std::vector<std::string>& allowed,
               Violations& violations) {
  std::string list;
  for (const std::string& path : allowed) {
    absl::StrAppend(&list, list.empty() ? "" : ", ", path);
  }
  if (mask.paths().empty()) {
    violations.push_back({"update_mask", absl::StrCat("given nothing, allowed: ", list)});
  }
  for (const std::string& path : mask.paths()) {
    if (std::find(allowed.begin(), allowed.end(), path) == allowed.end()) {
      violations.push_back({"update_mask", absl::StrCat("given ", path, ", allowed: ", list)});
    }
  }
}

bool Has(const google::protobuf::FieldMask& mask, const char* path) {
  return std::find(mask.paths().begin(), mask.paths().end(), path) != mask.paths().end();
}

std::string TokenTail(const std::string& project) {
  return absl::StrCat(".", project.empty() ? "-" : project);
}

}  // namespace

absl::StatusOr<QueueName> ReadQueueName(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  if (parts.size() != 4 || parts[0] != "projects" || parts[2] != "queues" ||
      !spec::IsValidName(parts[1]) || !spec::IsValidName(parts[3])) {
    return Invalid({{"name", absl::StrCat("given '", name,
                                          "', allowed: projects/PROJECT/queues/QUEUE, each name ",
                                          spec::kNameAllowed)}},
                   "INVALID_QUEUE");
  }
  return QueueName{parts[1], parts[3]};
}

absl::StatusOr<std::string> ReadProjectName(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  if (parts.size() != 2 || parts[0] != "projects" || !spec::IsValidName(parts[1])) {
    return Invalid({{"name", absl::StrCat("given '", name, "', allowed: projects/PROJECT, ",
                                          spec::kNameAllowed)}},
                   "INVALID_PROJECT");
  }
  return parts[1];
}

absl::StatusOr<cluster::QueueRecord> ReadCreateQueue(const v1::CreateQueueRequest& request) {
  cluster::QueueRecord queue;
  Violations violations;
  G2LL_ASSIGN_OR_RETURN(
      queue.project,
      ReadProjectName(request.parent().empty() ? "projects/default" : request.parent()));
  if (!spec::IsValidName(request.queue_id())) {
    violations.push_back({"queue_id", absl::StrCat("given '", request.queue_id(),
                                                   "', allowed: ", spec::kNameAllowed)});
  }
  CheckQueue(request.queue(), violations);
  G2LL_RETURN_IF_ERROR(Invalid(violations, "INVALID_QUEUE"));
  queue.name = request.queue_id();
  queue.stop = StopOf(request.queue());
  queue.reason = log::EscapeControl(request.queue().reason());
  queue.max_waiting_jobs = request.queue().max_waiting_jobs();
  return queue;
}

absl::StatusOr<std::function<void(cluster::QueueRecord&)>> ReadUpdateQueue(
    const v1::UpdateQueueRequest& request) {
  Violations violations;
  CheckMask(request.update_mask(), {"stop_policy", "reason", "max_waiting_jobs"}, violations);
  CheckQueue(request.queue(), violations);
  G2LL_RETURN_IF_ERROR(Invalid(violations, "INVALID_QUEUE"));
  return [given = request.queue(), mask = request.update_mask()](cluster::QueueRecord& queue) {
    if (Has(mask, "stop_policy")) {
      queue.stop = StopOf(given);
    }
    if (Has(mask, "reason")) {
      queue.reason = log::EscapeControl(given.reason());
    }
    if (Has(mask, "max_waiting_jobs")) {
      queue.max_waiting_jobs = given.max_waiting_jobs();
    }
  };
}

absl::StatusOr<std::function<void(cluster::ProjectRecord&)>> ReadUpdateProject(
    const v1::UpdateProjectRequest& request) {
  Violations violations;
  CheckMask(request.update_mask(),
            {"weight", "guaranteed_slots", "max_slots", "max_running_jobs", "max_waiting_jobs",
             "max_slot_hours"},
            violations);
  CheckProject(request.project(), violations);
  if (Has(request.update_mask(), "weight")) {
    CheckNumber("project.weight", request.project().weight(), 1e-6, violations);
  }
  G2LL_RETURN_IF_ERROR(Invalid(violations, "INVALID_PROJECT"));
  return
      [given = request.project(), mask = request.update_mask()](cluster::ProjectRecord& project) {
        const auto set = [&](const char* path, auto& field, auto value) {
          field = Has(mask, path) ? value : field;
        };
        set("weight", project.weight, given.weight());
        set("guaranteed_slots", project.guaranteed_slots, given.guaranteed_slots());
        set("max_slots", project.max_slots, given.max_slots());
        set("max_running_jobs", project.max_running_jobs, given.max_running_jobs());
        set("max_waiting_jobs", project.max_waiting_jobs, given.max_waiting_jobs());
        set("max_slot_hours", project.max_slot_hours, given.max_slot_hours());
      };
}

absl::StatusOr<WaitingQuery> ReadListWaiting(const v1::ListWaitingJobsRequest& request) {
  WaitingQuery query;
  G2LL_ASSIGN_OR_RETURN(query.project, ReadParentOrAll(request.parent()));
  if (request.page_size() < 0 || request.page_size() > kLargestPageSize) {
    return net::WithReason(absl::InvalidArgumentError(
                               absl::StrCat("page_size: ", request.page_size(),
                                            " is not allowed, 0 to ", kLargestPageSize, " are")),
                           "BAD_PAGE_SIZE");
  }
  query.page_size = request.page_size() == 0 ? kDefaultPageSize : request.page_size();
  const std::string& token = request.page_token();
  if (token.empty()) {
    return query;
  }
  const std::string tail = TokenTail(query.project);
  if (!token.ends_with(tail) ||
      !absl::SimpleAtoi(token.substr(0, token.size() - tail.size()), &query.skip) ||
      query.skip <= 0) {
    return net::WithReason(
        absl::InvalidArgumentError(
            "page_token: it does not belong to this list; start again without one"),
        "BAD_PAGE_TOKEN");
  }
  return query;
}

std::string WaitingPageToken(const WaitingQuery& query, int64_t skip) {
  return absl::StrCat(skip, TokenTail(query.project));
}

}  // namespace g2ll::api
