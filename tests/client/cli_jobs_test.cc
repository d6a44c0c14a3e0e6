// Commands about one job: describe, why, control, update.
#include <gmock/gmock.h>

#include "client/cli/exit_code.h"
#include "proto/common/grpc_status.h"
#include "tests/client/cli_fixture.h"

namespace g2ll::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

v1::JobExplanation Waiting(const std::string& name) {
  v1::JobExplanation why;
  why.set_job("projects/default/jobs/" + name);
  why.set_state(v1::Job::PENDING);
  why.mutable_reason()->set_code("WAITING_FOR_SLOTS");
  why.mutable_reason()->set_message("needs 4 slots, 2 of 8 are free");
  why.set_slots_needed(4);
  why.set_slots_free(2);
  why.set_slots_total(8);
  why.add_blockers("projects/default/jobs/big");
  why.set_position(3);
  why.set_waiting(17);
  why.mutable_estimated_start()->set_seconds(4'000'000'000);
  why.mutable_next_try()->set_seconds(1);
  why.set_advice("wait, or ask for fewer ranks");
  return why;
}

v1::Failure& AddFailure(v1::Job& job) {
  v1::Failure& failure = *job.add_attempts()->mutable_failure();
  failure.set_class_(v1::Failure::NON_FINITE);
  failure.set_rank(1);
  failure.set_worker("w2");
  failure.set_exit_code(79);
  failure.set_message("the loss is NaN");
  return failure;
}

TEST_F(CliTest, WhyTellsEveryNumberOfAJobThatWaits) {
  AddJob("a", v1::Job::PENDING);
  server_.explanations = {Waiting("a")};

  EXPECT_EQ(Run({"why", "a"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("a is PENDING: WAITING_FOR_SLOTS: needs 4 slots, 2 of 8 are "
                                    "free\n"));
  EXPECT_THAT(out_.str(), HasSubstr("slots:\tneeds 4; 2 free of 8 that it may use\n"));
  EXPECT_THAT(out_.str(), HasSubstr("position:\t3 of 17 waiting\n"));
  EXPECT_THAT(out_.str(), HasSubstr("in its way:\tprojects/default/jobs/big\n"));
  EXPECT_THAT(out_.str(), HasSubstr("expected start:\t20"));
  EXPECT_THAT(out_.str(), HasSubstr("next try:\tnow\n"));
  EXPECT_THAT(out_.str(), HasSubstr("what to do:\twait, or ask for fewer ranks\n"));
}

TEST_F(CliTest, WhyInJsonKeepsTheNamesThatGetHas) {
  server_.explanations = {Waiting("a")};

  EXPECT_EQ(Run({"why", "a", "-o", "json"}), kDone);
  EXPECT_EQ(Json()["name"], "projects/default/jobs/a");
  EXPECT_EQ(Json()["state"], "PENDING");
  EXPECT_EQ(Json()["stateReason"]["code"], "WAITING_FOR_SLOTS");
  EXPECT_EQ(Json()["position"], 3);
  EXPECT_EQ(Json()["slotsNeeded"], 4);
  EXPECT_EQ(Json()["blockers"][0], "projects/default/jobs/big");
  EXPECT_EQ(Json()["nextTry"], "1970-01-01T00:00:01Z");
  EXPECT_TRUE(Json()["failure"].is_null());
}

TEST_F(CliTest, WhyTellsWhatBrokeAFailedJob) {
  v1::JobExplanation why;
  why.set_job("projects/default/jobs/bad");
  why.set_state(v1::Job::FAILED);
  why.mutable_reason()->set_code("NON_FINITE");
  why.mutable_reason()->set_message("the loss is NaN at step 7");
  v1::Job job;
  *why.mutable_last_failure() = AddFailure(job);
  server_.explanations = {why};

  EXPECT_EQ(Run({"why", "bad"}), kDone);
  EXPECT_EQ(out_.str(),
            "bad is FAILED: NON_FINITE: the loss is NaN at step 7\n"
            "  last failure:\tNON_FINITE, rank 1 on w2, exit code 79: the loss is NaN\n");
  EXPECT_EQ(Run({"why", "bad", "-o", "json"}), kDone);
  EXPECT_EQ(Json()["failure"]["class"], "NON_FINITE");
  EXPECT_EQ(Run({"why", "nope"}), kNotFound);
}

TEST_F(CliTest, DescribeShowsEverythingOnOnePage) {
  v1::Job& job = AddJob("bad", v1::Job::FAILED);
  AddFailure(job);
  job.set_queue("projects/default/queues/night");
  job.mutable_budgets()->set_used_infra_retries(2);
  job.add_excluded_workers()->set_worker("w7");
  job.mutable_excluded_workers(0)->set_reason("its GPU fell off");
  job.add_events()->set_message("placed on w2");
  job.mutable_progress()->set_step(5);
  v1::Checkpoint& checkpoint = server_.checkpoints["c-1"];
  checkpoint.set_id("c-1");
  checkpoint.set_job(job.name());
  checkpoint.set_state(v1::Checkpoint::COMMITTED);

  EXPECT_EQ(Run({"describe", "bad"}), kDone);
  for (const char* part :
       {"Queue:\tnight\n", "Progress:\t5/0 steps", "Last error:\tNON_FINITE, rank 1 on w2",
        "0 own, 2 infrastructure", "\n\nAttempts:\nNUMBER\t", "\n\nCheckpoints:\nID\t",
        "w7\tits GPU fell off", "\n\nEvents:\nTIME\t", "placed on w2",
        "\n\nSpec:\napiVersion: g2ll/v1\n"}) {
    EXPECT_THAT(out_.str(), HasSubstr(part));
  }
}

TEST_F(CliTest, DescribeInJsonHasTheLastErrorAndTheCheckpoints) {
  v1::Job& job = AddJob("bad", v1::Job::FAILED);
  AddFailure(job);
  AddJob("good", v1::Job::SUCCEEDED);

  EXPECT_EQ(Run({"describe", "bad", "-o", "json"}), kDone);
  EXPECT_EQ(Json()["lastError"]["message"], "the loss is NaN");
  EXPECT_EQ(Json()["attempts"].size(), 1u);
  EXPECT_TRUE(Json()["checkpoints"].empty());
  EXPECT_EQ(Run({"describe", "good", "-o", "json"}), kDone);
  EXPECT_TRUE(Json()["lastError"].is_null());
}

TEST_F(CliTest, EachControlCommandMakesItsCall) {
  const std::vector<std::tuple<std::vector<std::string>, std::string, std::string>> cases = {
      {{"cancel", "a"}, "CancelJob", "CANCELLING"},
      {{"cancel", "b", "--now"}, "KillJob", "CANCELLED"},
      {{"kill", "c"}, "KillJob", "CANCELLED"},
      {{"pause", "d"}, "PauseJob", "PAUSING"},
      {{"resume", "e"}, "ResumeJob", "PENDING"},
      {{"requeue", "f"}, "RequeueJob", "PREEMPTING"},
  };
  for (const auto& [args, method, state] : cases) {
    AddJob(args[1], v1::Job::RUNNING);
    std::vector<std::string> with_reason = args;
    with_reason.insert(with_reason.end(), {"--reason", "because", "--etag", "e1", "-o", "json"});

    EXPECT_EQ(Run(with_reason), kDone) << method << err_.str();
    EXPECT_EQ(Json()["state"], state);
    EXPECT_THAT(server_.requests[method], HasSubstr("reason: \"because\""));
    EXPECT_THAT(server_.requests[method], HasSubstr("etag: \"e1\""));
    EXPECT_EQ(server_.num_calls[method], method == "KillJob" && args[0] == "kill" ? 2 : 1);
  }
}

TEST_F(CliTest, ControlOfAJobThatHasEndedIsSix) {
  AddJob("a", v1::Job::SUCCEEDED);

  EXPECT_EQ(Run({"cancel", "a"}), kRefused);
  EXPECT_EQ(err_.str(), "g2ll: projects/default/jobs/a has ended\n");
  EXPECT_THAT(out_.str(), IsEmpty());
  EXPECT_EQ(Run({"pause", "nope"}), kNotFound);
}

TEST_F(CliTest, DeleteIsOnlyForEndedJobs) {
  AddJob("a", v1::Job::RUNNING);
  AddJob("b", v1::Job::FAILED);

  EXPECT_EQ(Run({"delete", "a"}), kRefused);
  EXPECT_EQ(Run({"delete", "b", "-o", "json"}), kDone);
  EXPECT_EQ(Json()["deleted"], true);
  EXPECT_EQ(Run({"delete", "b"}), kNotFound);
}

TEST_F(CliTest, UpdateNamesExactlyTheFieldsThatWereGiven) {
  AddJob("a", v1::Job::PENDING);

  EXPECT_EQ(Run({"update", "a", "--priority", "high", "--max-retries", "3", "--max-runtime", "2h",
                 "--queue", "night", "--ranks", "1-4"}),
            kDone)
      << err_.str();
  const std::string& request = server_.requests["UpdateJob"];
  EXPECT_THAT(request, HasSubstr("priority: HIGH"));
  EXPECT_THAT(request, HasSubstr("max_retries: 3"));
  EXPECT_THAT(request, HasSubstr("max_runtime { seconds: 7200 }"));
  EXPECT_THAT(request, HasSubstr("ranks { min: 1 max: 4 }"));
  for (const char* path :
       {"spec.policy.priority", "spec.policy.max_retries", "spec.policy.max_runtime",
        "spec.policy.queue", "spec.resources.ranks"}) {
    EXPECT_THAT(request, HasSubstr(std::string("paths: \"") + path + "\""));
  }
  EXPECT_THAT(request, Not(HasSubstr("paths: \"labels\"")));
  EXPECT_THAT(request, Not(HasSubstr("preemptible")));
}

TEST_F(CliTest, UpdateChangesSingleLabelsAndReadsAgainWhenOvertaken) {
  v1::Job& job = AddJob("a", v1::Job::RUNNING);
  job.set_etag("e7");
  (*job.mutable_labels())["keep"] = "1";
  (*job.mutable_labels())["drop"] = "2";
  server_.failures["UpdateJob"] = {
      net::WithReason(absl::AbortedError("changed meanwhile"), "ETAG_MISMATCH")};

  EXPECT_EQ(Run({"update", "a", "--label", "new=3", "-l", "drop-"}), kDone) << err_.str();
  EXPECT_EQ(server_.num_calls["UpdateJob"], 2);
  EXPECT_THAT(server_.requests["UpdateJob"], HasSubstr("etag: \"e7\""));
  EXPECT_EQ(job.labels().size(), 2u);
  EXPECT_EQ(job.labels().at("keep"), "1");
  EXPECT_EQ(job.labels().at("new"), "3");
}

TEST_F(CliTest, UpdateRefusesWhatCannotBe) {
  AddJob("a", v1::Job::PENDING).set_etag("e2");

  EXPECT_EQ(Run({"update", "a"}), kBadInput);
  EXPECT_EQ(Run({"update", "a", "--priority", "urgent"}), kBadInput);
  EXPECT_EQ(err_.str(), "g2ll: --priority: given urgent, allowed: one of low, normal, high\n");
  EXPECT_EQ(Run({"update", "a", "--ranks", "4-1"}), kBadInput);
  EXPECT_EQ(Run({"update", "a", "--label", "no equals"}), kBadInput);
  EXPECT_EQ(Run({"update", "a", "--priority", "low", "--etag", "e1"}), kRefused);
  EXPECT_EQ(server_.num_calls["UpdateJob"], 0);
  EXPECT_EQ(Run({"update", "nope", "--priority", "low"}), kNotFound);
}

TEST_F(CliTest, SubmitMakesOneRequestIdAndTellsItWhenTheAnswerIsLost) {
  server_.failures["CreateJob"] = {absl::InternalError("lost"), absl::DeadlineExceededError("")};

  EXPECT_EQ(Submit(kJobFile), kFailed);
  ASSERT_EQ(server_.creates.size(), 1u);
  const std::string id = server_.creates[0].request_id();
  EXPECT_EQ(id.size(), 36u);
  EXPECT_THAT(err_.str(), HasSubstr("was a stored? ask again with --request-id " + id));
  EXPECT_EQ(Submit(kJobFile, {"--request-id", id}), kTimedOut);
  EXPECT_THAT(err_.str(), HasSubstr("--request-id " + id));
  EXPECT_EQ(Submit(kJobFile, {"--request-id", id}), kDone);
  EXPECT_EQ(server_.creates.back().request_id(), id);
}

TEST_F(CliTest, SubmitDoesNotAskWhetherARefusedJobWasStored) {
  server_.failures["CreateJob"] = {absl::AlreadyExistsError("the name is taken")};

  EXPECT_EQ(Submit(kJobFile), kRefused);
  EXPECT_THAT(err_.str(), Not(HasSubstr("--request-id")));
}

}  // namespace
}  // namespace g2ll::cli
