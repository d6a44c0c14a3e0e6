#include <utility>

#include "g2ll/v1/queue.grpc.pb.h"
#include "server/api/list_jobs.h"
#include "server/api/queue_request.h"
#include "server/api/services.h"
#include "server/api/unary.h"
#include "server/wire/queue_wire.h"

namespace g2ll::api {
namespace {

using coordinator::Core;
using coordinator::ProjectState;
using coordinator::QueueState;

v1::Queue ToProto(const QueueState& state) {
  v1::Queue proto = wire::ToProto(state.queue);
  proto.set_waiting_jobs(static_cast<int32_t>(state.waiting));
  proto.set_running_jobs(static_cast<int32_t>(state.running));
  return proto;
}

v1::Project ToProto(const ProjectState& state) {
  v1::Project proto = wire::ToProto(state.project);
  proto.set_used_slots(static_cast<int32_t>(state.used_slots));
  proto.set_running_jobs(static_cast<int32_t>(state.running));
  proto.set_waiting_jobs(static_cast<int32_t>(state.waiting));
  return proto;
}

// Fills a response with the state that a command returned.
template <typename State, typename Response>
std::function<absl::Status(State)> Into(Response* response) {
  return [response](const State& state) {
    *response = ToProto(state);
    return absl::OkStatus();
  };
}

class QueueService final : public v1::QueueService::CallbackService {
 public:
  explicit QueueService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* CreateQueue(grpc::CallbackServerContext* call,
                                        const v1::CreateQueueRequest* request,
                                        v1::Queue* response) override {
    absl::StatusOr<cluster::QueueRecord> queue = ReadCreateQueue(*request);
    if (!queue.ok()) {
      return FinishNow(call, queue.status());
    }
    return Answer<QueueState>(
        call, context_,
        [queue = *std::move(queue)](Core& core, absl::Time) { return core.CreateQueue(queue); },
        Into<QueueState>(response));
  }

  grpc::ServerUnaryReactor* GetQueue(grpc::CallbackServerContext* call,
                                     const v1::GetQueueRequest* request,
                                     v1::Queue* response) override {
    const absl::StatusOr<QueueName> name = ReadQueueName(request->name());
    if (!name.ok()) {
      return FinishNow(call, name.status());
    }
    return Answer<QueueState>(
        call, context_,
        [name = *name](Core& core, absl::Time) { return core.GetQueue(name.project, name.queue); },
        Into<QueueState>(response));
  }

  grpc::ServerUnaryReactor* ListQueues(grpc::CallbackServerContext* call,
                                       const v1::ListQueuesRequest* request,
                                       v1::ListQueuesResponse* response) override {
    const absl::StatusOr<std::string> project = ReadParentOrAll(request->parent());
    if (!project.ok()) {
      return FinishNow(call, project.status());
    }
    using States = std::vector<QueueState>;
    return Answer<States>(
        call, context_,
        [project = *project](Core& core, absl::Time) -> absl::StatusOr<States> {
          return core.ListQueues(project);
        },
        [response](const States& states) {
          for (const QueueState& state : states) {
            *response->add_queues() = ToProto(state);
          }
          return absl::OkStatus();
        });
  }

  grpc::ServerUnaryReactor* UpdateQueue(grpc::CallbackServerContext* call,
                                        const v1::UpdateQueueRequest* request,
                                        v1::Queue* response) override {
    const absl::StatusOr<QueueName> name = ReadQueueName(request->queue().name());
    if (!name.ok()) {
      return FinishNow(call, name.status());
    }
    auto change = ReadUpdateQueue(*request);
    if (!change.ok()) {
      return FinishNow(call, change.status());
    }
    return Answer<QueueState>(
        call, context_,
        [name = *name, etag = request->queue().etag(), change = *std::move(change)](Core& core,
                                                                                    absl::Time) {
          return core.UpdateQueue(name.project, name.queue, etag, change);
        },
        Into<QueueState>(response));
  }

  grpc::ServerUnaryReactor* DeleteQueue(grpc::CallbackServerContext* call,
                                        const v1::DeleteQueueRequest* request,
                                        google::protobuf::Empty*) override {
    const absl::StatusOr<QueueName> name = ReadQueueName(request->name());
    if (!name.ok()) {
      return FinishNow(call, name.status());
    }
    return Answer<bool>(
        call, context_,
        [name = *name](Core& core, absl::Time) -> absl::StatusOr<bool> {
          const absl::Status deleted = core.DeleteQueue(name.project, name.queue);
          if (!deleted.ok()) {
            return deleted;
          }
          return true;
        },
        [](bool) { return absl::OkStatus(); });
  }

  grpc::ServerUnaryReactor* ListWaitingJobs(grpc::CallbackServerContext* call,
                                            const v1::ListWaitingJobsRequest* request,
                                            v1::ListWaitingJobsResponse* response) override {
    const absl::StatusOr<WaitingQuery> query = ReadListWaiting(*request);
    if (!query.ok()) {
      return FinishNow(call, query.status());
    }
    return Answer<coordinator::WaitingPage>(
        call, context_,
        [query = *query](Core& core, absl::Time) -> absl::StatusOr<coordinator::WaitingPage> {
          return core.ListWaiting(query.project, query.skip, query.page_size);
        },
        [query = *query, response](const coordinator::WaitingPage& page) {
          for (const cluster::JobExplanation& explanation : page.jobs) {
            *response->add_jobs() = wire::ToProto(explanation);
          }
          response->set_total_size(static_cast<int32_t>(page.total));
          const int64_t behind = query.skip + static_cast<int64_t>(page.jobs.size());
          if (behind < page.total) {
            response->set_next_page_token(WaitingPageToken(query, behind));
          }
          return absl::OkStatus();
        });
  }

  grpc::ServerUnaryReactor* GetProject(grpc::CallbackServerContext* call,
                                       const v1::GetProjectRequest* request,
                                       v1::Project* response) override {
    const absl::StatusOr<std::string> name = ReadProjectName(request->name());
    if (!name.ok()) {
      return FinishNow(call, name.status());
    }
    return Answer<ProjectState>(
        call, context_,
        [name = *name](Core& core, absl::Time now) { return core.GetProject(name, now); },
        Into<ProjectState>(response));
  }

  grpc::ServerUnaryReactor* ListProjects(grpc::CallbackServerContext* call,
                                         const v1::ListProjectsRequest*,
                                         v1::ListProjectsResponse* response) override {
    using States = std::vector<ProjectState>;
    return Answer<States>(
        call, context_,
        [](Core& core, absl::Time now) -> absl::StatusOr<States> { return core.ListProjects(now); },
        [response](const States& states) {
          for (const ProjectState& state : states) {
            *response->add_projects() = ToProto(state);
          }
          return absl::OkStatus();
        });
  }

  grpc::ServerUnaryReactor* UpdateProject(grpc::CallbackServerContext* call,
                                          const v1::UpdateProjectRequest* request,
                                          v1::Project* response) override {
    const absl::StatusOr<std::string> name = ReadProjectName(request->project().name());
    if (!name.ok()) {
      return FinishNow(call, name.status());
    }
    auto change = ReadUpdateProject(*request);
    if (!change.ok()) {
      return FinishNow(call, change.status());
    }
    return Answer<ProjectState>(
        call, context_,
        [name = *name, etag = request->project().etag(), change = *std::move(change)](
            Core& core, absl::Time now) { return core.UpdateProject(name, etag, change, now); },
        Into<ProjectState>(response));
  }

 private:
  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeQueueService(const ServiceContext& context) {
  return std::make_unique<QueueService>(context);
}

}  // namespace g2ll::api
