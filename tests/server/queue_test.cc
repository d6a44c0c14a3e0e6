// Queues and projects: in the core, and what their requests may hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "server/api/queue_request.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using cluster::AttemptPhase;
using cluster::JobState;
using cluster::QueueStop;
using ::testing::HasSubstr;

class QueueTest : public CoreTest {
 protected:
  void MakeQueue(const std::string& name) {
    cluster::QueueRecord queue;
    queue.project = "default";
    queue.name = name;
    ASSERT_TRUE(core_->CreateQueue(queue).ok());
    Flush();
  }

  void Stop(const std::string& name, QueueStop stop) {
    const auto changed = core_->UpdateQueue("default", name, "", [&](cluster::QueueRecord& queue) {
      queue.stop = stop;
      queue.reason = "maintenance";
    });
    ASSERT_TRUE(changed.ok()) << changed.status();
    Flush();
  }

  void SetProject(const std::function<void(cluster::ProjectRecord&)>& change) {
    ASSERT_TRUE(core_->UpdateProject("default", "", change, now_).ok());
    Flush();
  }

  coordinator::CreateJobCommand InQueue(const std::string& name, const std::string& queue) {
    coordinator::CreateJobCommand command = MakeCommand(name);
    command.job.queue = queue;
    return command;
  }

  void Submit(FakeWorker& worker, const coordinator::CreateJobCommand& command) {
    Create(command);
    Report(worker);
  }

  cluster::JobExplanation Explain(const std::string& name) {
    return core_->ExplainJob("projects/default/jobs/" + name).value();
  }

  cluster::ProjectRecord Project() { return core_->GetProject("default", now_).value().project; }
};

TEST_F(QueueTest, AHeldQueueStartsNothingAndLetsTheRestRun) {
  FakeWorker worker = Connect("w1", 2);
  MakeQueue("night");
  Stop("night", QueueStop::kHold);
  Submit(worker, InQueue("a", "night"));
  Submit(worker, InQueue("b", "default"));

  EXPECT_EQ(StateOf("a"), JobState::kPending);
  EXPECT_EQ(Job("a")->reason.code, "QUEUE_HELD");
  EXPECT_EQ(Job("a")->reason.message, "queue night is held: maintenance");
  EXPECT_EQ(StateOf("b"), JobState::kStarting);

  Stop("night", QueueStop::kNone);
  EXPECT_EQ(StateOf("a"), JobState::kStarting);
}

TEST_F(QueueTest, ADrainedQueueStopsWhatRunsAlsoAfterARestart) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  Stop("default", QueueStop::kHoldAndDrain);

  EXPECT_EQ(StateOf("a"), JobState::kPreempting);
  EXPECT_THAT(Job("a")->attempts.back().stop_reason, HasSubstr("is being drained: maintenance"));
  StartCore();
  Reconnect(worker);
  Reach(worker, AttemptPhase::kEnded);

  EXPECT_EQ(StateOf("a"), JobState::kPending);
  EXPECT_EQ(Job("a")->reason.code, "QUEUE_HELD");
  const coordinator::QueueState queue = core_->GetQueue("default", "default").value();
  EXPECT_EQ(queue.waiting, 1);
  EXPECT_EQ(queue.running, 0);
}

TEST_F(QueueTest, QueuesAreMadeChangedAndRemovedWithTheirReasons) {
  MakeQueue("night");
  cluster::QueueRecord again;
  again.project = "default";
  again.name = "night";
  EXPECT_EQ(net::ReasonOf(core_->CreateQueue(again).status()), "QUEUE_EXISTS");
  again.name = "default";
  EXPECT_EQ(net::ReasonOf(core_->CreateQueue(again).status()), "QUEUE_EXISTS");
  EXPECT_EQ(net::ReasonOf(core_->GetQueue("default", "day").status()), "QUEUE_NOT_FOUND");
  EXPECT_EQ(net::ReasonOf(core_->DeleteQueue("default", "day")), "QUEUE_NOT_FOUND");
  EXPECT_EQ(net::ReasonOf(core_->DeleteQueue("default", "default")), "QUEUE_IS_DEFAULT");
  const auto nothing = [](cluster::QueueRecord&) {};
  EXPECT_EQ(net::ReasonOf(core_->UpdateQueue("default", "night", "9", nothing).status()),
            "ETAG_MISMATCH");
  EXPECT_EQ(core_->ListQueues("default").size(), 2u);

  Create(InQueue("a", "night"));
  EXPECT_EQ(net::ReasonOf(core_->DeleteQueue("default", "night")), "QUEUE_NOT_EMPTY");
  ASSERT_TRUE(
      core_->CancelJob({.name = "projects/default/jobs/a", .reason = {}, .etag = {}}, false, now_)
          .ok());
  Flush();
  ASSERT_TRUE(core_->DeleteQueue("default", "night").ok());
  Flush();
  StartCore();
  EXPECT_EQ(core_->ListQueues("default").size(), 1u);
}

TEST_F(QueueTest, SettingsOutliveTheCoordinator) {
  MakeQueue("night");
  Stop("night", QueueStop::kHold);
  SetProject([](cluster::ProjectRecord& project) { project.guaranteed_slots = 3; });

  StartCore();

  EXPECT_EQ(core_->GetQueue("default", "night")->queue.stop, QueueStop::kHold);
  EXPECT_EQ(core_->GetQueue("default", "night")->queue.revision, 2);
  EXPECT_EQ(Project().guaranteed_slots, 3);
  EXPECT_EQ(net::ReasonOf(core_->GetProject("other", now_).status()), "PROJECT_NOT_FOUND");
}

TEST_F(QueueTest, LimitsOfAProjectHoldBackItsJobsWithNumbers) {
  FakeWorker worker = Connect("w1", 4);
  SetProject([](cluster::ProjectRecord& project) { project.max_slots = 1; });
  Submit(worker, MakeCommand("a"));
  Submit(worker, MakeCommand("b"));

  EXPECT_EQ(StateOf("a"), JobState::kStarting);
  EXPECT_EQ(Job("b")->reason.code, "QUOTA_EXCEEDED");
  EXPECT_EQ(Job("b")->reason.message, "needs 1 slot; project default runs 1 of at most 1");
  EXPECT_THAT(Explain("b").advice, HasSubstr("raise its limit"));

  SetProject([](cluster::ProjectRecord& project) {
    project.max_slots = 0;
    project.max_running_jobs = 1;
  });
  EXPECT_EQ(Explain("b").reason.message, "project default runs 1 jobs of at most 1");
  SetProject([](cluster::ProjectRecord& project) { project.max_running_jobs = 0; });
  EXPECT_EQ(StateOf("b"), JobState::kStarting);
}

TEST_F(QueueTest, WaitingJobsAreLimitedByQueueAndByProject) {
  MakeQueue("night");
  ASSERT_TRUE(core_
                  ->UpdateQueue("default", "night", "",
                                [](cluster::QueueRecord& queue) { queue.max_waiting_jobs = 1; })
                  .ok());
  SetProject([](cluster::ProjectRecord& project) { project.max_waiting_jobs = 2; });

  EXPECT_TRUE((*Create(InQueue("a", "night"))).ok());
  const absl::Status full_queue = (*Create(InQueue("b", "night"))).status();
  EXPECT_EQ(net::ReasonOf(full_queue), "QUEUE_FULL");
  EXPECT_THAT(std::string(full_queue.message()), HasSubstr("queues/night has 1 waiting jobs"));
  EXPECT_TRUE((*Create(InQueue("b", "default"))).ok());
  EXPECT_THAT(std::string((*Create(InQueue("c", "default"))).status().message()),
              HasSubstr("project default has 2 waiting jobs, the limit is 2"));
}

TEST_F(QueueTest, WhatRunsIsChargedToItsProjectAlsoOverARestart) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  EXPECT_NEAR(Project().recent_usage, 600, 1) << "the entry alone";
  for (int i = 0; i < 100; ++i) {
    Report(worker);
    Pass(absl::Seconds(1));
  }
  EXPECT_NEAR(Project().slot_seconds, 100, 1.5);
  EXPECT_NEAR(Project().recent_usage, 700, 2);

  now_ += absl::Seconds(100);  // The coordinator is down while the job runs on.
  StartCore();
  Reconnect(worker);
  EXPECT_NEAR(Project().slot_seconds, 200, 1.5);

  Reach(worker, AttemptPhase::kEnded);
  const double used = Project().slot_seconds;
  Pass(absl::Minutes(5));
  EXPECT_NEAR(Project().slot_seconds, used, 1.5);
}

TEST_F(QueueTest, ABudgetOfSlotHoursEndsAndCanBeRaised) {
  FakeWorker worker = Connect("w1", 2);
  SetProject([](cluster::ProjectRecord& project) { project.max_slot_hours = 0.01; });
  RunJob(worker, "a");
  for (int i = 0; i < 40; ++i) {
    Report(worker);
    Pass(absl::Seconds(1));
  }
  Submit(worker, MakeCommand("b"));

  EXPECT_EQ(Job("b")->reason.code, "QUOTA_EXCEEDED");
  EXPECT_THAT(Job("b")->reason.message, HasSubstr("slot-hours of its budget of 0.01"));
  SetProject([](cluster::ProjectRecord& project) { project.max_slot_hours = 1; });
  EXPECT_EQ(StateOf("b"), JobState::kStarting);
}

TEST_F(QueueTest, TheProjectThatUsedLessGoesFirst) {
  FakeWorker worker = Connect("w1");
  coordinator::CreateJobCommand runs = MakeCommand("runs");
  Submit(worker, runs);
  Submit(worker, MakeCommand("mine"));
  coordinator::CreateJobCommand theirs = MakeCommand("theirs");
  theirs.job.project = "other";
  Submit(worker, theirs);

  EXPECT_EQ(core_->ListWaiting("", 0, 1).jobs.at(0).job, "projects/other/jobs/theirs");
}

TEST(QueueRequestTest, EveryBadFieldIsNamed) {
  v1::UpdateProjectRequest request;
  request.mutable_project()->set_weight(std::numeric_limits<double>::quiet_NaN());
  request.mutable_project()->set_max_slots(-1);
  request.mutable_update_mask()->add_paths("weight");
  request.mutable_update_mask()->add_paths("slots");

  const absl::Status status = api::ReadUpdateProject(request).status();

  EXPECT_EQ(net::ReasonOf(status), "INVALID_PROJECT");
  ASSERT_EQ(net::ViolationsOf(status).size(), 3u);
  EXPECT_EQ(net::ViolationsOf(status)[0].field, "update_mask");
  EXPECT_EQ(net::ViolationsOf(status)[1].field, "project.max_slots");
  EXPECT_EQ(net::ViolationsOf(status)[1].description, "given -1, allowed: 0 (no limit) to 1000000");
  EXPECT_EQ(net::ViolationsOf(status)[2].field, "project.weight");
}

TEST(QueueRequestTest, NamesHaveTheirForm) {
  EXPECT_EQ(api::ReadQueueName("projects/p/queues/q")->queue, "q");
  for (const char* bad : {"", "q", "projects/p/queues/", "projects/P/queues/q", "projects/p/jobs/q",
                          "projects/p/queues/q/x"}) {
    EXPECT_EQ(net::ReasonOf(api::ReadQueueName(bad).status()), "INVALID_QUEUE") << bad;
  }
  v1::CreateQueueRequest request;
  request.set_queue_id("-night");
  EXPECT_EQ(net::ReasonOf(api::ReadCreateQueue(request).status()), "INVALID_QUEUE");
}

TEST(QueueRequestTest, OnlyMaskedFieldsChange) {
  v1::UpdateQueueRequest request;
  request.mutable_queue()->set_stop_policy(v1::Queue::HOLD);
  request.mutable_queue()->set_reason("x");
  request.mutable_update_mask()->add_paths("stop_policy");
  cluster::QueueRecord queue;
  queue.reason = "before";

  api::ReadUpdateQueue(request).value()(queue);

  EXPECT_EQ(queue.stop, QueueStop::kHold);
  EXPECT_EQ(queue.reason, "before");
}

TEST(QueueRequestTest, ATokenBelongsToItsProject) {
  v1::ListWaitingJobsRequest request;
  request.set_parent("projects/p");
  request.set_page_token(api::WaitingPageToken({.project = "p"}, 100));
  EXPECT_EQ(api::ReadListWaiting(request)->skip, 100);

  request.set_parent("projects/q");
  EXPECT_EQ(net::ReasonOf(api::ReadListWaiting(request).status()), "BAD_PAGE_TOKEN");
  request.set_page_size(1001);
  EXPECT_EQ(net::ReasonOf(api::ReadListWaiting(request).status()), "BAD_PAGE_SIZE");
}

}  // namespace
}  // namespace g2ll::testing
