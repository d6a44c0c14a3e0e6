// Commands about queues, projects, workers, checkpoints and the server.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "client/cli/exit_code.h"
#include "tests/client/cli_fixture.h"

namespace g2ll::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ClusterCliTest : public CliTest {
 protected:
  void AddWorker(const std::string& name) {
    v1::Worker& worker = server_.workers[name];
    worker.set_name(name);
    worker.set_state(v1::Worker::READY);
    worker.set_slots(4);
    worker.set_free_slots(1);
    worker.set_device("cpu");
    v1::TrainerProcess& trainer = *worker.add_trainers();
    trainer.set_pid(77);
    trainer.set_job("projects/default/jobs/a");
  }
  void AddCheckpoint(const std::string& id, bool best) {
    v1::Checkpoint& checkpoint = server_.checkpoints[id];
    checkpoint.set_id(id);
    checkpoint.set_job("projects/default/jobs/a");
    checkpoint.set_best(best);
    checkpoint.set_state(v1::Checkpoint::COMMITTED);
  }
  void AddWaiting(const std::string& name, int position) {
    v1::JobExplanation& why = server_.explanations.emplace_back();
    why.set_job("projects/default/jobs/" + name);
    why.set_state(v1::Job::PENDING);
    why.set_position(position);
    why.mutable_reason()->set_code("QUOTA_EXCEEDED");
    why.mutable_reason()->set_message("the project uses 8 of 8 slots");
  }
};

TEST_F(ClusterCliTest, QueueListsWhoWaitsInOrderOverAllPages) {
  AddWaiting("second", 1);
  AddWaiting("first", 2);

  EXPECT_EQ(Run({"queue"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("1\tsecond\tQUOTA_EXCEEDED\t"));
  EXPECT_THAT(out_.str(), HasSubstr("2\tfirst\tQUOTA_EXCEEDED\t"));
  EXPECT_EQ(server_.num_calls["ListWaitingJobs"], 2);
  EXPECT_EQ(Run({"queue", "-o", "json", "--all-projects"}), kDone);
  ASSERT_EQ(Json().size(), 2u);
  EXPECT_EQ(Json()[0]["name"], "projects/default/jobs/second");
  EXPECT_EQ(Json()[0]["reason"]["code"], "QUOTA_EXCEEDED");
  EXPECT_THAT(server_.requests["ListWaitingJobs"], HasSubstr("parent: \"projects/-\""));
  EXPECT_EQ(Run({"queue", "-o", "name"}), kDone);
  EXPECT_EQ(out_.str(), "projects/default/jobs/second\nprojects/default/jobs/first\n");
}

TEST_F(ClusterCliTest, AnEmptyQueueIsAnEmptyArray) {
  EXPECT_EQ(Run({"queue", "-o", "json"}), kDone);
  EXPECT_EQ(out_.str(), "[]\n");
  EXPECT_EQ(Run({"queue"}), kDone);
  EXPECT_THAT(out_.str(), IsEmpty());
  EXPECT_EQ(err_.str(), "no job waits\n");
}

TEST_F(ClusterCliTest, QueuesAreMadeHeldDrainedResumedAndRemoved) {
  EXPECT_EQ(Run({"queue", "create", "night", "--max-waiting", "9"}), kDone) << err_.str();
  const v1::Queue& queue = server_.queues["projects/default/queues/night"];
  EXPECT_EQ(queue.max_waiting_jobs(), 9);
  EXPECT_EQ(Run({"queue", "create", "night"}), kRefused);
  EXPECT_EQ(Run({"queue", "hold", "night", "--reason", "day"}), kDone);
  EXPECT_EQ(queue.stop_policy(), v1::Queue::HOLD);
  EXPECT_EQ(queue.reason(), "day");
  EXPECT_EQ(queue.max_waiting_jobs(), 9);
  EXPECT_EQ(Run({"queue", "drain", "projects/default/queues/night"}), kDone);
  EXPECT_EQ(queue.stop_policy(), v1::Queue::HOLD_AND_DRAIN);
  EXPECT_EQ(Run({"queue", "resume", "night"}), kDone);
  EXPECT_EQ(queue.stop_policy(), v1::Queue::NONE);
  EXPECT_THAT(queue.reason(), IsEmpty());
  EXPECT_EQ(Run({"queue", "set", "night", "--max-waiting", "0"}), kDone);
  EXPECT_EQ(queue.max_waiting_jobs(), 0);
  EXPECT_EQ(Run({"queue", "set", "night"}), kBadInput);
  EXPECT_EQ(Run({"queue", "list", "-o", "json"}), kDone);
  EXPECT_EQ(Json()[0]["name"], "projects/default/queues/night");
  EXPECT_EQ(Run({"queue", "delete", "night"}), kDone);
  EXPECT_EQ(Run({"queue", "hold", "night"}), kNotFound);
  EXPECT_EQ(Run({"queue", "hold", "Bad_Name"}), kBadInput);
}

TEST_F(ClusterCliTest, ProjectsGetTheLimitsThatWereGiven) {
  EXPECT_EQ(Run({"projects", "set", "derm", "--weight", "2.5", "--max-slots", "8"}), kDone)
      << err_.str();
  const v1::Project& project = server_.projects["projects/derm"];
  EXPECT_EQ(project.weight(), 2.5);
  EXPECT_EQ(project.max_slots(), 8);
  EXPECT_THAT(server_.requests["UpdateProject"], Not(HasSubstr("max_waiting_jobs")));
  EXPECT_EQ(Run({"projects", "set", "derm"}), kBadInput);
  EXPECT_EQ(Run({"projects", "set", "derm", "--max-slots", "many"}), kBadInput);
  EXPECT_EQ(err_.str(), "g2ll: --max-slots: given many, allowed: a whole number\n");
  EXPECT_EQ(Run({"projects", "set", "derm", "--weight", "nan"}), kBadInput);
  EXPECT_EQ(Run({"projects", "list"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("derm\t2.5\t0\t0 of 8\t"));
  EXPECT_EQ(Run({"projects", "list", "-o", "json"}), kDone);
  EXPECT_EQ(Json()[0]["maxSlots"], 8);
}

TEST_F(ClusterCliTest, WorkersAreListedDescribedAndTakenOutOfUse) {
  AddWorker("w1");

  EXPECT_EQ(Run({"workers", "list"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("w1\tREADY\t4\t1\tcpu\t"));
  EXPECT_EQ(Run({"workers", "cordon", "w1", "--reason", "new disk"}), kDone);
  EXPECT_EQ(out_.str(), "w1 READY, CORDONED\n");
  EXPECT_EQ(Run({"workers", "describe", "w1"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("Reason:\tnew disk\n"));
  EXPECT_THAT(out_.str(), HasSubstr("Trainer:\tpid 77, rank 0 of projects/default/jobs/a\n"));
  EXPECT_EQ(Run({"workers", "drain", "w1", "-o", "json"}), kDone);
  EXPECT_EQ(Json()["schedulable"], "DRAINING");
  EXPECT_EQ(Run({"workers", "uncordon", "w1", "-o", "name"}), kDone);
  EXPECT_EQ(out_.str(), "w1\n");
  EXPECT_EQ(Run({"workers", "list", "-o", "json"}), kDone);
  EXPECT_EQ(Json()[0]["schedulable"], "ALLOWED");
  for (const char* command : {"describe", "cordon", "uncordon", "drain"}) {
    EXPECT_EQ(Run({"workers", command, "nope"}), kNotFound) << command;
  }
}

TEST_F(ClusterCliTest, CheckpointsArePinnedVerifiedAndRemoved) {
  AddCheckpoint("c-1", false);
  AddCheckpoint("c-2", true);

  EXPECT_EQ(Run({"checkpoints", "list", "a", "-o", "name"}), kDone);
  EXPECT_EQ(out_.str(), "c-1\nc-2\n");
  EXPECT_EQ(Run({"checkpoints", "pin", "job/a", "-o", "json"}), kDone);
  EXPECT_EQ(Json()["id"], "c-2");  // the best one
  EXPECT_EQ(Json()["pinned"], true);
  EXPECT_EQ(Run({"checkpoints", "delete", "c-2"}), kRefused);
  EXPECT_EQ(Run({"checkpoints", "unpin", "checkpoint/c-2"}), kDone);
  EXPECT_EQ(Run({"checkpoints", "verify", "c-2"}), kDone);
  server_.checkpoints["c-2"].set_state(v1::Checkpoint::DAMAGED);
  EXPECT_EQ(Run({"checkpoints", "verify", "c-2", "-o", "json"}), kFailed);
  EXPECT_EQ(Json()["state"], "DAMAGED");
  EXPECT_EQ(Run({"checkpoints", "delete", "c-2"}), kDone);
  EXPECT_EQ(Run({"checkpoints", "delete", "job/a"}), kNotFound);
  EXPECT_EQ(Run({"checkpoints", "verify", "nope"}), kNotFound);
}

TEST_F(ClusterCliTest, BackupWritesTheWholeFileOrNone) {
  server_.files = {{"g2ll.db", "the store, byte for byte"}};
  const TempDir dir;

  EXPECT_EQ(Run({"admin", "backup", "--to", dir / "copy.db"}), kDone) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("/copy.db\n"));
  EXPECT_EQ(ReadFile(dir / "copy.db"), "the store, byte for byte");
  EXPECT_EQ(Run({"admin", "backup", "--to", dir / "copy.db"}), kRefused);
  server_.damaged = true;
  EXPECT_EQ(Run({"admin", "backup", "--to", dir / "other.db"}), kFailed);
  EXPECT_EQ(Run({"admin", "backup", "--to", dir / "no/folder.db"}), kFailed);
  EXPECT_THAT(dir.Names(), ElementsAre("copy.db"));
}

TEST_F(ClusterCliTest, RestoreRunsTheCoordinatorsOwnProgram) {
  const TempDir dir;
  EXPECT_EQ(Run({"admin", "restore", "--from", "/copy.db", "--data-dir", "/data"}), kRefused);
  EXPECT_THAT(err_.str(), HasSubstr("coordinator image"));
  const std::string program = dir / "g2ll-coordinator";
  std::ofstream(program) << "#!/bin/sh\n";
  chmod(program.c_str(), 0755);
  env_.program_dir = program.substr(0, program.rfind('/'));

  EXPECT_EQ(Run({"admin", "restore", "--from", "/copy.db", "--data-dir", "/data"}), 17);
  EXPECT_THAT(executed_,
              ElementsAre(program, "restore", "--from", "/copy.db", "--data-dir", "/data"));
}

TEST_F(ClusterCliTest, VersionAndInfoTellTheServers) {
  EXPECT_EQ(Run({"version", "-o", "json"}), kDone);
  EXPECT_EQ(Json()["client"], "1.2.3");
  EXPECT_EQ(Json()["server"]["version"], "9.9.9");
  EXPECT_EQ(Run({"admin", "info", "-o", "json"}), kDone);
  EXPECT_EQ(Json()["term"], 3);
  EXPECT_EQ(Json()["address"], server_.address());
  server_.Stop();
  EXPECT_EQ(Run({"version"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("server not reached"));
  EXPECT_EQ(Run({"admin", "info"}), kUnreachable);
  server_.Start();
}

}  // namespace
}  // namespace g2ll::cli
