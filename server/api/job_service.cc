#include <deque>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "g2ll/v1/job.grpc.pb.h"
#include "proto/common/log.h"
#include "server/api/create_request.h"
#include "server/api/file_source.h"
#include "server/api/list_jobs.h"
#include "server/api/services.h"
#include "server/api/stream_driver.h"
#include "server/api/unary.h"
#include "server/api/update_request.h"
#include "server/api/watch_service.h"
#include "server/wire/job_wire.h"
#include "server/wire/queue_wire.h"

namespace g2ll::api {
namespace {

using coordinator::Core;
using coordinator::JobPtr;

constexpr int64_t kMostEvents = 1000;
constexpr size_t kMostReasonBytes = 1000;
constexpr size_t kMostPageBytes = size_t{2} << 20;

absl::Status Fill(const JobPtr& job, v1::Job* response) {
  *response = wire::ToProto(*job);
  return absl::OkStatus();
}

// The newest state of a job that is not sent yet. Filled on the coordinator's
// thread, emptied on a pool thread.
class JobSlot {
 public:
  void Put(JobPtr job) {
    absl::MutexLock lock(&mutex_);
    deleted_ = job == nullptr;
    job_ = std::move(job);
  }
  // The same for the state at which the watch began, which is older than any other.
  void PutFirst(JobPtr job) {
    absl::MutexLock lock(&mutex_);
    if (job_ == nullptr) {
      job_ = std::move(job);
    }
  }
  // Nothing if there is nothing new; null if the job was deleted.
  std::optional<JobPtr> Take() {
    absl::MutexLock lock(&mutex_);
    if (deleted_) {
      return JobPtr();
    }
    if (job_ == nullptr) {
      return std::nullopt;
    }
    return std::exchange(job_, nullptr);
  }

 private:
  absl::Mutex mutex_;
  JobPtr job_ ABSL_GUARDED_BY(mutex_);
  bool deleted_ ABSL_GUARDED_BY(mutex_) = false;
};

class JobSource final : public StreamSource<v1::Job> {
 public:
  JobSource(const ServiceContext& context, std::shared_ptr<JobSlot> slot, std::string job_uid,
            int64_t watcher)
      : context_(context), slot_(std::move(slot)), job_uid_(std::move(job_uid)), watcher_(watcher) {
    context_.metrics->AddSubscribers("jobs", 1);
  }

  Step Next(v1::Job* response, absl::Status* status) override {
    if (ended_) {
      return Step::kEnd;
    }
    const std::optional<JobPtr> job = slot_->Take();
    if (!job.has_value()) {
      return Step::kWait;
    }
    if (*job == nullptr) {
      *status = net::WithReason(absl::NotFoundError("the job was deleted"), "JOB_NOT_FOUND");
      return Step::kEnd;
    }
    *response = wire::ToProto(**job);
    ended_ = cluster::IsTerminal((*job)->state);
    return Step::kSend;
  }

  void Stopped() override {
    context_.metrics->AddSubscribers("jobs", -1);
    // A coordinator that has stopped has no watchers either.
    context_.coordinator->Post([uid = job_uid_, watcher = watcher_](Core& core, absl::Time) {
      core.Unwatch(uid, watcher);
    });
  }

 private:
  const ServiceContext context_;
  const std::shared_ptr<JobSlot> slot_;
  const std::string job_uid_;
  const int64_t watcher_;
  bool ended_ = false;
};

absl::Status NoReport(const std::string& name, const std::string& why) {
  return net::WithReason(absl::NotFoundError(absl::StrCat(name, " has no report: ", why)),
                         "NO_REPORT", {{"job", name}});
}

class JobService final : public v1::JobService::CallbackService {
 public:
  explicit JobService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* call,
                                      const v1::CreateJobRequest* request,
                                      v1::Job* response) override {
    absl::StatusOr<coordinator::CreateJobCommand> command = ReadCreateRequest(*request);
    if (!command.ok()) {
      return FinishNow(call, command.status());
    }
    G2LL_FAILPOINT("api.create.received");
    auto [open, reactor] = UnaryCall::Make(call, context_.streams);
    // Making the answer does not hold up the coordinator.
    const auto answer = [open = open, response, pool = context_.pool](absl::StatusOr<JobPtr> job) {
      G2LL_FAILPOINT("api.create.committed");
      pool->Submit([open, response, job = std::move(job)] {
        if (!open->Claim()) {
          return;
        }
        if (job.ok()) {
          *response = wire::ToProto(**job);
        }
        open->Finish(job.status());
        G2LL_FAILPOINT("api.create.answered");
      });
    };
    const bool queued = context_.coordinator->Post(
        [command = *std::move(command), answer](Core& core, absl::Time now) {
          core.CreateJob(command, answer, now);
        });
    if (!queued) {
      answer(coordinator::Coordinator::Overloaded());
    }
    return reactor;
  }

  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* call,
                                   const v1::GetJobRequest* request, v1::Job* response) override {
    const bool full = request->view() == v1::FULL;
    return Answer<JobPtr>(
        call, context_,
        [name = request->name()](Core& core, absl::Time) { return core.GetJob(name); },
        [full, response, reader = context_.reader](const JobPtr& job) -> absl::Status {
          *response = wire::ToProto(*job);
          if (full) {
            const auto events = reader->ReadEvents(job->uid, kMostEvents);
            if (!events.ok()) {
              return events.status();
            }
            for (const cluster::EventRecord& event : *events) {
              *response->add_events() = wire::ToProto(event);
            }
          }
          return absl::OkStatus();
        });
  }

  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* call,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override {
    const absl::StatusOr<ListJobsQuery> query = ReadListRequest(*request);
    if (!query.ok()) {
      return FinishNow(call, query.status());
    }
    return Answer<std::vector<JobPtr>>(
        call, context_,
        [project = query->project](Core& core, absl::Time) {
          return absl::StatusOr<std::vector<JobPtr>>(core.JobsOf(project));
        },
        [request, response, query = *query](const std::vector<JobPtr>& jobs) {
          const JobPage page = PageOf(jobs, query);
          // A page ends early where it would not fit into a message.
          size_t bytes = 0;
          for (auto job = page.jobs.begin(); job != page.jobs.end(); ++job) {
            *response->add_jobs() = wire::ToProto(**job);
            bytes += response->jobs().rbegin()->ByteSizeLong();
            const bool is_last = std::next(job) == page.jobs.end();
            if (is_last ? page.has_more : bytes > kMostPageBytes) {
              response->set_next_page_token(NextPageToken(*request, **job));
              break;
            }
          }
          response->set_total_size(static_cast<int32_t>(page.total));
          return absl::OkStatus();
        });
  }

  grpc::ServerUnaryReactor* UpdateJob(grpc::CallbackServerContext* call,
                                      const v1::UpdateJobRequest* request,
                                      v1::Job* response) override {
    absl::StatusOr<coordinator::JobChange> change = ReadUpdateRequest(*request);
    if (!change.ok()) {
      return FinishNow(call, change.status());
    }
    const coordinator::JobRequest asked{request->job().name(), "", request->job().etag()};
    return Answer<JobPtr>(
        call, context_,
        [asked, change = *std::move(change), dry = request->validate_only()](
            Core& core, absl::Time now) { return core.UpdateJob(asked, change, dry, now); },
        [response](const JobPtr& job) { return Fill(job, response); });
  }

  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* call,
                                      const v1::CancelJobRequest* request,
                                      v1::Job* response) override {
    return Change(call, *request, response,
                  [](Core& core, const coordinator::JobRequest& asked, absl::Time now) {
                    return core.CancelJob(asked, /*kill=*/false, now);
                  });
  }

  grpc::ServerUnaryReactor* KillJob(grpc::CallbackServerContext* call,
                                    const v1::KillJobRequest* request, v1::Job* response) override {
    return Change(call, *request, response,
                  [](Core& core, const coordinator::JobRequest& asked, absl::Time now) {
                    return core.CancelJob(asked, /*kill=*/true, now);
                  });
  }

  grpc::ServerUnaryReactor* PauseJob(grpc::CallbackServerContext* call,
                                     const v1::PauseJobRequest* request,
                                     v1::Job* response) override {
    return Change(call, *request, response,
                  [](Core& core, const coordinator::JobRequest& asked, absl::Time now) {
                    return core.PauseJob(asked, now);
                  });
  }

  grpc::ServerUnaryReactor* ResumeJob(grpc::CallbackServerContext* call,
                                      const v1::ResumeJobRequest* request,
                                      v1::Job* response) override {
    return Change(call, *request, response,
                  [](Core& core, const coordinator::JobRequest& asked, absl::Time now) {
                    return core.ResumeJob(asked, now);
                  });
  }

  grpc::ServerUnaryReactor* RequeueJob(grpc::CallbackServerContext* call,
                                       const v1::RequeueJobRequest* request,
                                       v1::Job* response) override {
    return Change(
        call, *request, response,
        [id = request->request_id()](Core& core, const coordinator::JobRequest& asked,
                                     absl::Time now) { return core.RequeueJob(asked, id, now); });
  }

  grpc::ServerUnaryReactor* DeleteJob(grpc::CallbackServerContext* call,
                                      const v1::DeleteJobRequest* request,
                                      google::protobuf::Empty*) override {
    return Answer<bool>(
        call, context_,
        [asked = coordinator::JobRequest{request->name(), "", request->etag()}](
            Core& core, absl::Time) -> absl::StatusOr<bool> {
          const absl::Status deleted = core.DeleteJob(asked);
          if (!deleted.ok()) {
            return deleted;
          }
          return true;
        },
        [](bool) { return absl::OkStatus(); });
  }

  grpc::ServerUnaryReactor* ExplainJob(grpc::CallbackServerContext* call,
                                       const v1::ExplainJobRequest* request,
                                       v1::JobExplanation* response) override {
    return Answer<cluster::JobExplanation>(
        call, context_,
        [name = request->name()](Core& core, absl::Time) { return core.ExplainJob(name); },
        [response](const cluster::JobExplanation& explanation) {
          *response = wire::ToProto(explanation);
          return absl::OkStatus();
        });
  }

  grpc::ServerWriteReactor<v1::WatchJobsResponse>* WatchJobs(
      grpc::CallbackServerContext* call, const v1::WatchJobsRequest* request) override {
    return OpenWatch(call, context_, *request);
  }

  grpc::ServerWriteReactor<v1::Job>* WatchJob(grpc::CallbackServerContext* call,
                                              const v1::WatchJobRequest* request) override {
    auto [driver, reactor] = StreamDriver<v1::Job>::Make(call, context_.pool, context_.streams);
    auto slot = std::make_shared<JobSlot>();
    auto watcher = std::make_shared<int64_t>(0);
    context_.coordinator->Call<JobPtr>(
        [name = request->name(), slot, watcher, weak = std::weak_ptr(driver)](
            Core& core, absl::Time) -> absl::StatusOr<JobPtr> {
          const absl::StatusOr<JobPtr> job = core.GetJob(name);
          if (job.ok()) {
            *watcher = core.Watch((*job)->uid, [slot, weak](const JobPtr& changed) {
              slot->Put(changed);
              if (const auto live = weak.lock()) {
                live->Wake();
              }
            });
          }
          return job;
        },
        [context = context_, driver = driver, slot, watcher](absl::StatusOr<JobPtr> job) {
          if (!job.ok()) {
            driver->End(job.status());
            return;
          }
          // The commit that this answers to may have changed the job as well.
          slot->PutFirst(*job);
          driver->Start(std::make_unique<JobSource>(context, slot, (*job)->uid, *watcher));
        });
    return reactor;
  }

  grpc::ServerWriteReactor<v1::FileChunk>* StreamReport(
      grpc::CallbackServerContext* call, const v1::StreamReportRequest* request) override {
    auto [driver, reactor] =
        StreamDriver<v1::FileChunk>::Make(call, context_.pool, context_.streams);
    context_.coordinator->Call<JobPtr>(
        [name = request->name()](Core& core, absl::Time) { return core.GetJob(name); },
        [driver = driver, storage = context_.storage](absl::StatusOr<JobPtr> job) {
          if (!job.ok()) {
            driver->End(job.status());
          } else if ((*job)->report_path.empty()) {
            driver->End(
                NoReport((*job)->FullName(),
                         (*job)->state == cluster::JobState::kSucceeded
                             ? std::string("it wrote none")
                             : absl::StrCat("it is ", std::string(cluster::Name((*job)->state)))));
          } else {
            driver->Start(std::make_unique<FileSource>(
                [storage, job = *job] { return ListReport(*storage, *job); }, "REPORT_DAMAGED"));
          }
        });
    return reactor;
  }

 private:
  using Verb =
      std::function<absl::StatusOr<JobPtr>(Core&, const coordinator::JobRequest&, absl::Time)>;

  // Runs one of the verbs whose requests have a name, a reason and an etag.
  template <typename Request>
  grpc::ServerUnaryReactor* Change(grpc::CallbackServerContext* call, const Request& request,
                                   v1::Job* response, Verb verb) {
    if (request.reason().size() > kMostReasonBytes) {
      return FinishNow(call, net::WithReason(absl::InvalidArgumentError(
                                                 absl::StrCat("reason: ", request.reason().size(),
                                                              " bytes are given, at most ",
                                                              kMostReasonBytes, " are allowed")),
                                             "INVALID_SPEC"));
    }
    return Answer<JobPtr>(
        call, context_,
        [asked = coordinator::JobRequest{request.name(), log::EscapeControl(request.reason()),
                                         request.etag()},
         verb = std::move(verb)](Core& core, absl::Time now) { return verb(core, asked, now); },
        [response](const JobPtr& job) { return Fill(job, response); });
  }

  static absl::StatusOr<std::vector<storage::FileToSend>> ListReport(
      const storage::StorageRoot& storage, const cluster::JobRecord& job) {
    const absl::StatusOr<std::vector<std::string>> names = storage.ListFiles(job.report_path);
    if (!names.ok()) {
      return NoReport(job.FullName(), std::string(names.status().message()));
    }
    std::vector<storage::FileToSend> files;
    for (const std::string& name : *names) {
      absl::StatusOr<std::string> path = storage.Resolve(absl::StrCat(job.report_path, "/", name));
      if (!path.ok()) {
        return path.status();
      }
      files.push_back({*std::move(path), name, ""});
    }
    return files;
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeJobService(const ServiceContext& context) {
  return std::make_unique<JobService>(context);
}

}  // namespace g2ll::api
