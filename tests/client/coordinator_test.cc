// The command line against the real coordinator as a program of its own, with a worker
// of the test that speaks the real protocol.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <iostream>
#include <mutex>
#include <streambuf>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/exit_code.h"
#include "client/local/process.h"
#include "g2ll/v1/worker.grpc.pb.h"
#include "tests/client/cli_fixture.h"

namespace g2ll::cli {
namespace {

using ::testing::HasSubstr;

constexpr char kOneJob[] =
    "apiVersion: g2ll/v1\nkind: PretrainJob\nmetadata: { name: a }\n"
    "spec: { recipe: smoke, data: { source: 'synthetic:dermoscopy?count=8&seed=1' } }\n";

// Text that one thread writes and another waits for.
class SharedText final : public std::streambuf {
 public:
  void WaitForLines(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return num_lines_ >= count; });
  }
  std::string text() {
    const std::scoped_lock lock(mutex_);
    return text_;
  }

 protected:
  int overflow(int c) override {
    const char one = static_cast<char>(c);
    xsputn(&one, 1);
    return c;
  }
  std::streamsize xsputn(const char* data, std::streamsize size) override {
    const std::scoped_lock lock(mutex_);
    text_.append(data, static_cast<size_t>(size));
    num_lines_ += static_cast<int>(std::count(data, data + size, '\n'));
    changed_.notify_all();
    return size;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  int num_lines_ = 0;
};

// A worker with one slot that does what it is told and trains nothing.
class TestWorker {
 public:
  explicit TestWorker(const std::string& address)
      : stub_(v1::WorkerService::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    report_.set_worker("w1");
    report_.set_incarnation("i1");
    report_.mutable_inventory()->set_slots(1);
    report_.mutable_inventory()->set_cpus(1);
    report_.mutable_inventory()->set_device("cpu");
  }
  ~TestWorker() { Disconnect(); }

  // Connects; a connection that a restart broke may take the first try with it.
  bool Connect() {
    v1::DesiredState wish;
    for (int i = 0; i < 20; ++i) {
      Disconnect();
      context_ = std::make_unique<grpc::ClientContext>();
      context_->set_wait_for_ready(true);
      session_ = stub_->Session(context_.get());
      if (session_->Write(report_) && session_->Read(&wish)) {
        Obey(wish);
        return session_->Write(report_);
      }
    }
    return false;
  }
  // Obeys until `done`; false when the session ended before.
  bool ObeyUntil(const std::function<bool()>& done) {
    v1::DesiredState wish;
    while (!done()) {
      if (!session_->Read(&wish)) return false;
      Obey(wish);
      if (!session_->Write(report_)) return false;
      report_.clear_data_checks();
    }
    return true;
  }
  // Sends points, and waits until they are stored.
  bool Push(int64_t first, int64_t last) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    const auto stream = stub_->PushTelemetry(&context);
    v1::PushTelemetryRequest batch;
    batch.set_job_uid(report_.attempts(0).job_uid());
    batch.set_epoch(report_.attempts(0).epoch());
    for (int64_t seq = first; seq <= last; ++seq) {
      v1::TelemetryItem* item = batch.add_items();
      item->set_local_seq(seq);
      item->mutable_metric()->set_name("loss");
      item->mutable_metric()->set_step(seq);
    }
    v1::TelemetryAck ack;
    const bool is_stored = stream->Write(batch) && stream->Read(&ack) && ack.local_seq() == last;
    stream->WritesDone();
    stream->Finish();
    return is_stored;
  }

 private:
  void Disconnect() {
    if (session_ == nullptr) return;
    context_->TryCancel();
    session_->Finish();
    session_.reset();
  }
  void Obey(const v1::DesiredState& wish) {
    report_.mutable_inventory()->set_storage_token(wish.storage_token());
    for (const v1::DataCheck& check : wish.data_checks()) {
      v1::DataCheckResult* result = report_.add_data_checks();
      result->set_id(check.id());
      result->set_ok(true);
    }
    report_.clear_attempts();
    for (const v1::DesiredAttempt& wanted : wish.attempts()) {
      v1::AttemptStatus* status = report_.add_attempts();
      status->set_job_uid(wanted.job_uid());
      status->set_epoch(wanted.epoch());
      status->set_store_address("127.0.0.1:1");
      v1::AttemptPhase phase = v1::ATTEMPT_PHASE_ENDED;
      if (wanted.phase() == v1::ATTEMPT_PHASE_PREPARE) phase = v1::ATTEMPT_PHASE_PREPARED;
      if (wanted.phase() == v1::ATTEMPT_PHASE_RUN) phase = v1::ATTEMPT_PHASE_TRAINING;
      status->set_phase(phase);
      status->add_ranks()->set_rank(0);
      status->mutable_ranks(0)->set_joined(true);
    }
  }

  const std::unique_ptr<v1::WorkerService::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SessionRequest, v1::DesiredState>> session_;
  v1::SessionRequest report_;
};

class CoordinatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    StartCoordinator("127.0.0.1:0");
    ASSERT_FALSE(address_.empty()) << ReadFile(dir_ / "log");
    env_.in = &in_;
    env_.out = &out_;
    env_.err = &err_;
    env_.variables["HOME"] = dir_ / "";
    env_.variables["G2LL_SERVER"] = address_;
    env_.version = "1.2.3";
  }
  void TearDown() override {
    local::StopAll({coordinator_}, absl::ZeroDuration());
    if (HasFailure()) std::cerr << ReadFile(dir_ / "log");
  }

  void StartCoordinator(const std::string& listen) {
    std::filesystem::remove(dir_ / "address");
    coordinator_ =
        local::SpawnDetached(
            {G2LL_COORDINATOR, "--listen", listen, "--http-listen", "127.0.0.1:0", "--data-dir",
             dir_ / "data", "--storage-root", dir_ / "storage", "--address-file", dir_ / "address"},
            dir_ / "log")
            .value();
    while (local::IsRunning(coordinator_) && !std::filesystem::exists(dir_ / "address")) {
      std::this_thread::yield();
    }
    const auto json = nlohmann::json::parse(ReadFile(dir_ / "address"), nullptr, false);
    if (json.is_object()) address_ = json["address"];
  }
  // Ends the coordinator in order or at once, and starts it where it was.
  void Restart(bool in_order) {
    if (!in_order) kill(coordinator_.pid, SIGKILL);
    local::StopAll({coordinator_}, absl::Seconds(20));
    StartCoordinator(address_);
  }
  int Run(const std::vector<std::string>& args) {
    out_.str("");
    err_.str("");
    return cli::Run(args, env_);
  }
  int Submit(const std::string& text) {
    in_.clear();
    in_.str(text);
    return Run({"submit", "-f", "-"});
  }
  std::string State() {
    EXPECT_EQ(Run({"get", "a", "-o", "json"}), kDone) << err_.str();
    return nlohmann::json::parse(out_.str())["state"];
  }
  nlohmann::json Json() const { return nlohmann::json::parse(out_.str()); }

  const TempDir dir_;
  local::ProcessId coordinator_;
  std::string address_;
  Environment env_;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
};

class RestartTest : public CoordinatorTest, public ::testing::WithParamInterface<bool> {};

TEST_P(RestartTest, AFollowRepeatsAndMissesNoLineOverARestart) {
  ASSERT_EQ(Submit(kOneJob), kDone) << err_.str();
  TestWorker worker(address_);
  ASSERT_TRUE(worker.Connect());
  ASSERT_TRUE(worker.ObeyUntil([&] { return State() == "RUNNING"; }));
  ASSERT_TRUE(worker.Push(1, 50));
  SharedText printed;
  SharedText told;
  std::ostream out(&printed);
  std::ostream err(&told);
  Environment follower = env_;
  follower.out = &out;
  follower.err = &err;
  std::stop_source stop;
  follower.stop = stop.get_token();
  std::future<int> code = std::async(std::launch::async, [&follower] {
    return cli::Run({"metrics", "a", "-f", "-o", "json"}, follower);
  });
  // The future waits for the follower, also after a failure.
  const absl::Cleanup stop_follower = [&stop] { stop.request_stop(); };
  printed.WaitForLines(50);

  Restart(/*in_order=*/GetParam());
  ASSERT_TRUE(worker.Connect());
  ASSERT_TRUE(worker.ObeyUntil([&] { return State() == "RUNNING"; }));
  ASSERT_TRUE(worker.Push(51, 80));
  EXPECT_EQ(Run({"cancel", "a"}), kDone) << err_.str();
  ASSERT_TRUE(worker.ObeyUntil([&] { return State() == "CANCELLED"; }));

  EXPECT_EQ(code.get(), kDone);
  std::vector<int64_t> seqs;
  std::vector<int64_t> expected;
  for (const auto line : absl::StrSplit(printed.text(), '\n', absl::SkipEmpty())) {
    seqs.push_back(nlohmann::json::parse(std::string(line))["seq"]);
  }
  for (int64_t seq = 1; seq <= 80; ++seq) expected.push_back(seq);
  EXPECT_EQ(seqs, expected);
  EXPECT_THAT(told.text(), HasSubstr("a is CANCELLED"));
}

INSTANTIATE_TEST_SUITE_P(BothWays, RestartTest, ::testing::Bool(), [](const auto& instance) {
  return instance.param ? "InOrder" : "Killed";
});

TEST_F(CoordinatorTest, TheSameRequestAgainIsTheSameJobAndAnotherIsRefused) {
  in_.str(kOneJob);
  ASSERT_EQ(Run({"submit", "-f", "-", "--request-id", "r-1", "-o", "json"}), kDone) << err_.str();
  const std::string uid = Json()["uid"];
  in_.clear();
  in_.str(kOneJob);
  ASSERT_EQ(Run({"submit", "-f", "-", "--request-id", "r-1", "-o", "json"}), kDone) << err_.str();
  EXPECT_EQ(Json()["uid"], uid);
  std::string other = kOneJob;
  other.replace(other.find("seed=1"), 6, "seed=2");
  EXPECT_EQ(Submit(other), kRefused);
}

TEST_F(CoordinatorTest, ACommandAfterTheOtherLeadsAJobThroughItsLife) {
  ASSERT_EQ(Submit(kOneJob), kDone) << err_.str();
  EXPECT_EQ(Run({"list", "--state", "pending", "-o", "json"}), kDone) << err_.str();
  EXPECT_EQ(Json().size(), 1u);
  EXPECT_EQ(Run({"describe", "a", "-o", "json"}), kDone) << err_.str();
  EXPECT_EQ(Json()["events"][0]["type"], "CREATED");
  EXPECT_EQ(Run({"delete", "a"}), kRefused) << err_.str();
  EXPECT_EQ(Run({"why", "a", "-o", "json"}), kDone) << err_.str();
  EXPECT_EQ(Json()["state"], "PENDING");
  EXPECT_NE(Json()["stateReason"]["code"], "");
  EXPECT_EQ(Run({"queue", "-o", "json"}), kDone) << err_.str();
  ASSERT_EQ(Json().size(), 1u);
  EXPECT_EQ(Json()[0]["name"], "projects/default/jobs/a");
  EXPECT_EQ(Run({"update", "a", "--priority", "high", "-l", "study=t1", "-o", "json"}), kDone)
      << err_.str();
  EXPECT_EQ(Json()["spec"]["pretrain"]["policy"]["priority"], "HIGH");
  EXPECT_EQ(Json()["labels"]["study"], "t1");
  EXPECT_EQ(Run({"list", "-l", "study=t1", "--filter", "state = PENDING", "-o", "name"}), kDone);
  EXPECT_EQ(out_.str(), "projects/default/jobs/a\n");
  EXPECT_EQ(Run({"pause", "a", "-o", "json"}), kDone) << err_.str();
  EXPECT_EQ(Json()["state"], "PAUSED");
  EXPECT_EQ(Run({"resume", "a", "-o", "json"}), kDone) << err_.str();
  EXPECT_EQ(Json()["state"], "PENDING");
  EXPECT_EQ(Run({"cancel", "a", "--reason", "done with it"}), kDone) << err_.str();
  EXPECT_EQ(Run({"wait", "a"}), kCancelled) << err_.str();
  EXPECT_EQ(Run({"delete", "a"}), kDone) << err_.str();
  EXPECT_EQ(Run({"get", "a"}), kNotFound);
  EXPECT_EQ(Run({"admin", "info", "-o", "json"}), kDone) << err_.str();
  EXPECT_EQ(Json()["term"], 1);
}

TEST_F(CoordinatorTest, QueuesProjectsAndWorkersCanBeGoverned) {
  EXPECT_EQ(Run({"queue", "create", "night", "--max-waiting", "5"}), kDone) << err_.str();
  EXPECT_EQ(Run({"queue", "create", "night"}), kRefused);
  EXPECT_EQ(Run({"queue", "hold", "night", "--reason", "by day", "-o", "json"}), kDone)
      << err_.str();
  EXPECT_EQ(Json()["stopPolicy"], "HOLD");
  EXPECT_EQ(Json()["maxWaitingJobs"], 5);
  EXPECT_EQ(Run({"queue", "resume", "night"}), kDone) << err_.str();
  EXPECT_EQ(Run({"queue", "delete", "night"}), kDone) << err_.str();
  EXPECT_EQ(Run({"queue", "delete", "default"}), kRefused);
  EXPECT_EQ(Run({"projects", "set", "derm", "--weight", "2", "-o", "json"}), kDone) << err_.str();
  EXPECT_EQ(Json()["weight"], 2);
  EXPECT_EQ(Run({"projects", "set", "derm", "--weight", "-1"}), kBadInput);
  TestWorker worker(address_);
  ASSERT_TRUE(worker.Connect());
  EXPECT_EQ(Run({"workers", "cordon", "w1", "--reason", "new disk", "-o", "json"}), kDone)
      << err_.str();
  EXPECT_EQ(Json()["schedulable"], "CORDONED");
  EXPECT_EQ(Json()["schedulableReason"], "new disk");
  EXPECT_EQ(Run({"workers", "uncordon", "w1"}), kDone) << err_.str();
  EXPECT_EQ(Run({"workers", "describe", "nope"}), kNotFound);
}

TEST_F(CoordinatorTest, ABackupIsAFileThatTheCoordinatorRestores) {
  ASSERT_EQ(Submit(kOneJob), kDone) << err_.str();
  EXPECT_EQ(Run({"admin", "backup", "--to", dir_ / "copy.db"}), kDone) << err_.str();
  EXPECT_EQ(Run({"cancel", "a"}), kDone) << err_.str();
  EXPECT_EQ(Run({"wait", "a"}), kCancelled) << err_.str();
  local::StopAll({coordinator_}, absl::Seconds(20));
  const std::string command = absl::StrCat(G2LL_COORDINATOR, " restore --from ", dir_ / "copy.db",
                                           " --data-dir ", dir_ / "data", " >/dev/null");
  EXPECT_EQ(system(command.c_str()), 0);
  StartCoordinator(address_);

  EXPECT_EQ(State(), "PENDING");
}

}  // namespace
}  // namespace g2ll::cli
