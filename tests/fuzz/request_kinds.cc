#include "tests/fuzz/request_kinds.h"

#include <string>

#include "g2ll/v1/admin.pb.h"
#include "g2ll/v1/checkpoint.pb.h"
#include "g2ll/v1/job.pb.h"
#include "g2ll/v1/queue.pb.h"
#include "g2ll/v1/telemetry.pb.h"
#include "g2ll/v1/worker.pb.h"
#include "server/api/create_request.h"
#include "server/api/list_jobs.h"
#include "server/api/queue_request.h"
#include "server/api/resume_token.h"
#include "server/api/update_request.h"
#include "server/wire/job_wire.h"
#include "server/wire/worker_wire.h"
#include "tests/fuzz/promises.h"

namespace g2ll::fuzz {
namespace {

using google::protobuf::Message;

template <typename Request>
const Request& As(const Message& message) {
  return static_cast<const Request&>(message);
}

void ReadCreateJob(const Message& message) {
  const auto command = api::ReadCreateRequest(As<v1::CreateJobRequest>(message));
  if (!command.ok()) {
    ExpectCleanRefusal(command.status());
    return;
  }
  ExpectSendable(wire::ToProto(command->job));
}

void ReadListJobs(const Message& message) {
  const auto& request = As<v1::ListJobsRequest>(message);
  const auto query = api::ReadListRequest(request);
  if (!query.ok()) {
    ExpectCleanRefusal(query.status());
    return;
  }
  Expect(query->page_size >= 1 && query->page_size <= 1000, "a page has 1 to 1,000 jobs");
}

// Tries the change on a job of every kind.
void ReadUpdate(const Message& message) {
  const auto change = api::ReadUpdateRequest(As<v1::UpdateJobRequest>(message));
  if (!change.ok()) {
    ExpectCleanRefusal(change.status());
    return;
  }
  v1::JobSpec specs[3];
  specs[0].mutable_pretrain();
  specs[1].mutable_finetune();
  specs[2].mutable_evaluate();
  for (const v1::JobSpec& spec : specs) {
    cluster::JobRecord job;
    wire::ReadSpec(spec, &job);
    if (const absl::Status status = (*change)(job); !status.ok()) ExpectCleanRefusal(status);
    ExpectSendable(wire::ToProto(job));
  }
}

// A reader that either refuses or has something for `use`.
template <typename Result, typename Use>
void ExpectReadOrRefused(const absl::StatusOr<Result>& result, Use use) {
  if (result.ok()) {
    use(*result);
  } else {
    ExpectCleanRefusal(result.status());
  }
}

void ReadCreateQueue(const Message& message) {
  ExpectReadOrRefused(
      api::ReadCreateQueue(As<v1::CreateQueueRequest>(message)),
      [](const cluster::QueueRecord& queue) { ExpectPlainText(queue.reason, 4000); });
}

void ReadUpdateQueue(const Message& message) {
  const auto& request = As<v1::UpdateQueueRequest>(message);
  ExpectReadOrRefused(api::ReadQueueName(request.queue().name()), [](const auto&) {});
  ExpectReadOrRefused(api::ReadUpdateQueue(request), [](const auto& change) {
    cluster::QueueRecord queue;
    change(queue);
    ExpectPlainText(queue.reason, 4000);
  });
}

void ReadUpdateProject(const Message& message) {
  const auto& request = As<v1::UpdateProjectRequest>(message);
  ExpectReadOrRefused(api::ReadProjectName(request.project().name()), [](const auto&) {});
  ExpectReadOrRefused(api::ReadUpdateProject(request), [](const auto& change) {
    cluster::ProjectRecord project;
    change(project);
  });
}

void ReadListWaiting(const Message& message) {
  ExpectReadOrRefused(api::ReadListWaiting(As<v1::ListWaitingJobsRequest>(message)),
                      [](const api::WaitingQuery& query) {
                        Expect(query.skip >= 0 && query.page_size >= 1 && query.page_size <= 1000,
                               "a page has 1 to 1,000 jobs");
                      });
}

void ReadWatchJobs(const Message& message) {
  const auto& request = As<v1::WatchJobsRequest>(message);
  ExpectReadOrRefused(api::ReadResumeToken(request.resume_token(), request.filter()),
                      [](const api::WatchPosition& position) {
                        Expect(position.seq >= 0, "a position is not before the first change");
                      });
}

void ReadSession(const Message& message) {
  cluster::WorkerRecord worker;
  worker.report = wire::FromProto(As<v1::SessionRequest>(message));
  ExpectSendable(wire::ToProto(worker, [](const std::string& uid) { return uid; }));
  const cluster::Inventory& inventory = worker.report.inventory;
  ExpectPlainText(inventory.http_address, 256);
  ExpectPlainText(inventory.version, 256);
  ExpectPlainText(inventory.storage_error, 4096);
  for (const cluster::DataCheckResult& check : worker.report.data_checks) {
    ExpectPlainText(check.message, 4096);
  }
  for (const cluster::AttemptStatus& status : worker.report.attempts) {
    if (status.failure.has_value()) ExpectSendable(wire::ToProto(*status.failure));
    if (status.progress.has_value()) ExpectSendable(wire::ToProto(*status.progress));
    ExpectPlainText(status.store_address, 256);
    ExpectPlainText(status.report_path, 4096);
    ExpectPlainText(status.message, 4096);
  }
}

void ReadTelemetry(const Message& message) {
  const auto batch = wire::FromProto(As<v1::PushTelemetryRequest>(message));
  for (const cluster::TelemetryItem& item : batch.items) {
    if (const auto* point = std::get_if<cluster::MetricRecord>(&item.value)) {
      ExpectPlainText(point->name, 256);
      ExpectSendable(wire::ToProto(*point));
    } else {
      const auto& line = std::get<cluster::LogRecord>(item.value);
      ExpectPlainText(line.level, 256);
      ExpectPlainText(line.message, 16 * 1024);
      ExpectSendable(wire::ToProto(line));
    }
  }
}

void ReadCommit(const Message& message) {
  const auto metrics = wire::MetricsOf(As<v1::CommitCheckpointRequest>(message));
  Expect(metrics.size() <= 256, "a checkpoint has at most 256 metrics");
  for (const auto& [name, value] : metrics) ExpectPlainText(name, 256);
}

template <typename Request>
RequestKind Kind(void (*read)(const Message&) = nullptr) {
  return {&Request::default_instance(), read};
}

}  // namespace

const std::vector<RequestKind>& RequestKinds() {
  static const std::vector<RequestKind> kinds = {
      Kind<v1::CreateJobRequest>(ReadCreateJob),
      Kind<v1::ListJobsRequest>(ReadListJobs),
      Kind<v1::SessionRequest>(ReadSession),
      Kind<v1::PushTelemetryRequest>(ReadTelemetry),
      Kind<v1::CommitCheckpointRequest>(ReadCommit),
      Kind<v1::GetJobRequest>(),
      Kind<v1::CancelJobRequest>(),
      Kind<v1::DeleteJobRequest>(),
      Kind<v1::WatchJobRequest>(),
      Kind<v1::StreamReportRequest>(),
      Kind<v1::StreamMetricsRequest>(),
      Kind<v1::StreamLogsRequest>(),
      Kind<v1::ListCheckpointsRequest>(),
      Kind<v1::GetCheckpointRequest>(),
      Kind<v1::StreamExportRequest>(),
      Kind<v1::ListWorkersRequest>(),
      Kind<v1::GetServerInfoRequest>(),
      Kind<v1::UpdateJobRequest>(ReadUpdate),
      Kind<v1::KillJobRequest>(),
      Kind<v1::PauseJobRequest>(),
      Kind<v1::ResumeJobRequest>(),
      Kind<v1::RequeueJobRequest>(),
      Kind<v1::ExplainJobRequest>(),
      Kind<v1::WatchJobsRequest>(ReadWatchJobs),
      Kind<v1::QueryMetricsRequest>(),
      Kind<v1::BeginCheckpointRequest>(),
      Kind<v1::PinCheckpointRequest>(),
      Kind<v1::VerifyCheckpointRequest>(),
      Kind<v1::DeleteCheckpointRequest>(),
      Kind<v1::GetWorkerRequest>(),
      Kind<v1::CordonWorkerRequest>(),
      Kind<v1::UncordonWorkerRequest>(),
      Kind<v1::DrainWorkerRequest>(),
      Kind<v1::StreamBackupRequest>(),
      Kind<v1::CreateQueueRequest>(ReadCreateQueue),
      Kind<v1::GetQueueRequest>(),
      Kind<v1::ListQueuesRequest>(),
      Kind<v1::UpdateQueueRequest>(ReadUpdateQueue),
      Kind<v1::DeleteQueueRequest>(),
      Kind<v1::ListWaitingJobsRequest>(ReadListWaiting),
      Kind<v1::GetProjectRequest>(),
      Kind<v1::ListProjectsRequest>(),
      Kind<v1::UpdateProjectRequest>(ReadUpdateProject),
  };
  return kinds;
}

}  // namespace g2ll::fuzz
