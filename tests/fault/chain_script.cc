#include "tests/fault/chain_script.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/empty.pb.h"
#include "proto/common/grpc_status.h"
#include "tests/sim/fleet.h"

namespace g2ll::fault {
namespace {

constexpr char kParent[] = "pretrain";
constexpr char kChild[] = "finetune";
constexpr char kBroken[] = "broken";
constexpr int kExitCollective = 81;

sim::AttemptScript ScriptOf(const v1::DesiredAttempt& wanted) {
  sim::AttemptScript script{
      .steps = 6, .points_per_step = 2, .lines_per_step = 1, .checkpoint_every = 3};
  script.hold = wanted.job() == sim::FullName(kBroken) || wanted.job() == sim::FullName(kParent);
  return script;
}

// One run: the script's steps note what is wrong and go on.
class Script {
 public:
  Script(Keeper* keeper, ScriptRun* run)
      : run_(run),
        storage_root_(keeper->storage_root()),
        client_(keeper->address()),
        admin_(v1::AdminService::NewStub(
            grpc::CreateChannel(keeper->address(), grpc::InsecureChannelCredentials()))),
        fleet_({.address = keeper->address(),
                .storage_root = keeper->storage_root(),
                .script = ScriptOf}) {
    fleet_.AddMany(2, "w", 2);
    Check(fleet_.WaitFor([](const sim::FleetCounts& counts) { return counts.connected == 2; }),
          "the workers did not connect");
  }

  void Run() {
    Create(sim::PretrainRequest(kParent, 4));
    Create(sim::FinetuneRequest(kChild, kParent));
    Create(sim::EvaluateRequest("evaluate", kChild));
    Create(sim::PretrainRequest(kBroken));
    Follower follower(&client_, sim::FullName(kParent));
    ChangeTheOneThatWaits();
    fleet_.Release(sim::FullName(kParent));
    BreakCancelAndDelete();
    for (const char* name : {kParent, kChild, "evaluate"}) {
      Check(client_.WaitForEnd(sim::FullName(name)).status(), name);
    }
    Check(Persist<absl::Status>([&] { return Backup(); }), "backup");
    const std::vector<std::string> followed = follower.Finish(&run_->faults);
    run_->outcome = Observe(client_, storage_root_, &run_->faults);
    if (followed != run_->outcome.points[kParent]) {
      run_->faults.push_back("the follower saw other points than are stored");
    }
  }

 private:
  void Check(bool holds, const std::string& fault) {
    if (!holds) {
      run_->faults.push_back(fault);
    }
  }
  void Check(const absl::Status& status, const std::string& what) {
    Check(status.ok(), absl::StrCat(what, ": ", status.ToString()));
  }

  void Create(const v1::CreateJobRequest& request) {
    Check(CreateSurely(client_, request).status(), "create " + request.job_id());
  }

  // Calls a method of JobService until it is answered.
  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (v1::JobService::Stub::*method)(grpc::ClientContext*,
                                                                 const Request&, Response*),
                    const Request& request) {
    return Persist<absl::Status>([&] {
      grpc::ClientContext call;
      Response response;
      return net::FromGrpcStatus((client_.jobs().*method)(&call, request, &response));
    });
  }

  // The child waits for its parent: it is paused, resumed, put back and changed meanwhile.
  void ChangeTheOneThatWaits() {
    using Stub = v1::JobService::Stub;
    v1::PauseJobRequest pause;
    pause.set_name(sim::FullName(kChild));
    Check(Call<v1::PauseJobRequest, v1::Job>(&Stub::PauseJob, pause), "pause");
    v1::ResumeJobRequest resume;
    resume.set_name(pause.name());
    Check(Call<v1::ResumeJobRequest, v1::Job>(&Stub::ResumeJob, resume), "resume");
    v1::RequeueJobRequest requeue;
    requeue.set_name(pause.name());
    requeue.set_request_id("requeue");
    Check(Call<v1::RequeueJobRequest, v1::Job>(&Stub::RequeueJob, requeue), "requeue");
    v1::UpdateJobRequest update;
    update.mutable_job()->set_name(pause.name());
    (*update.mutable_job()->mutable_labels())["study"] = "faults";
    update.mutable_update_mask()->add_paths("labels");
    Check(Call<v1::UpdateJobRequest, v1::Job>(&Stub::UpdateJob, update), "update");
  }

  absl::Status Backup() {
    grpc::ClientContext call;
    const auto reader = admin_->StreamBackup(&call, {});
    v1::FileChunk chunk;
    while (reader->Read(&chunk)) {
    }
    return net::FromGrpcStatus(reader->Finish());
  }

  void WaitForAttempt(int number) {
    Check(client_
              .WaitFor(sim::FullName(kBroken),
                       [&](const v1::Job& job) {
                         return job.attempts_size() == number && job.state() == v1::Job::RUNNING;
                       })
              .status(),
          absl::StrCat("attempt ", number));
  }

  void BreakCancelAndDelete() {
    const std::string name = sim::FullName(kBroken);
    WaitForAttempt(1);
    fleet_.FailRank(name, 0, kExitCollective);
    WaitForAttempt(2);
    v1::CancelJobRequest cancel;
    cancel.set_name(name);
    Check(Call<v1::CancelJobRequest, v1::Job>(&v1::JobService::Stub::CancelJob, cancel), "cancel");
    const auto ended = client_.WaitForEnd(name);
    Check(ended.ok() && ended->state() == v1::Job::CANCELLED, "the job is not cancelled");
    v1::DeleteJobRequest request;
    request.set_name(name);
    const absl::Status deleted = Call<v1::DeleteJobRequest, google::protobuf::Empty>(
        &v1::JobService::Stub::DeleteJob, request);
    // A try may have been stored and not answered.
    Check(deleted.ok() || absl::IsNotFound(deleted), "delete: " + deleted.ToString());
  }

  ScriptRun* const run_;
  const std::string storage_root_;
  sim::JobClient client_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
  sim::Fleet fleet_;
};

}  // namespace

ScriptRun RunChainScript(const std::string& directory, std::deque<std::string> failpoints) {
  ScriptRun run;
  Keeper keeper({.process = {.directory = directory}, .failpoints = std::move(failpoints)});
  Script(&keeper, &run).Run();
  const absl::StatusOr<int> code = keeper.Stop(absl::Seconds(30));
  if (!code.ok() || *code != 0) {
    run.faults.push_back(
        absl::StrCat("the coordinator did not stop well: ",
                     code.ok() ? absl::StrCat("code ", *code) : code.status().ToString()));
  }
  for (const std::string& file : LeftOver(directory)) {
    run.faults.push_back("left over: " + file);
  }
  run.restarts = keeper.restarts();
  return run;
}

}  // namespace g2ll::fault
