// Commands that follow something: lost connections, restarts, ends, Ctrl-C.
#include <gmock/gmock.h>

#include <future>

#include "absl/strings/str_split.h"
#include "client/cli/exit_code.h"
#include "proto/common/grpc_status.h"
#include "tests/client/cli_fixture.h"

namespace g2ll::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class FollowTest : public CliTest {
 protected:
  // Runs a command beside the test.
  void Start(const std::vector<std::string>& args) {
    code_ = std::async(std::launch::async, [this, args] { return Run(args); });
  }
  // Numbers of the lines that were printed, in order.
  std::vector<int64_t> PrintedSeqs() const {
    std::vector<int64_t> seqs;
    for (const auto line : absl::StrSplit(out_.str(), '\n', absl::SkipEmpty())) {
      seqs.push_back(nlohmann::json::parse(std::string(line))["seq"]);
    }
    return seqs;
  }
  static std::vector<int64_t> UpTo(int64_t last) {
    std::vector<int64_t> seqs;
    for (int64_t seq = 1; seq <= last; ++seq) seqs.push_back(seq);
    return seqs;
  }

  std::future<int> code_;
};

TEST_F(FollowTest, NoLineIsRepeatedOrMissingWhereTheConnectionBreaks) {
  server_.num_points = 9;
  server_.drop_after = 4;
  server_.repeat = 2;

  EXPECT_EQ(Run({"metrics", "a", "-f", "-o", "json"}), kDone);
  EXPECT_EQ(PrintedSeqs(), UpTo(9));
  EXPECT_EQ(Count(err_.str(), "lost, trying again for up to 5m"), Count(err_.str(), "is back"));
  EXPECT_GE(Count(err_.str(), "is back"), 2);
}

TEST_F(FollowTest, ARestartOfTheServerIsToldOnceAndLeavesNoMark) {
  for (const char* command : {"metrics", "logs"}) {
    server_.num_points = 5;
    server_.stays_open = true;
    Start({command, "a", "-f", "-o", "json"});
    server_.WaitForOpenStreams(1);
    server_.Stop();
    server_.num_points = 8;
    server_.stays_open = false;
    server_.Start();

    EXPECT_EQ(code_.get(), kDone) << err_.str();
    EXPECT_EQ(PrintedSeqs(), UpTo(8)) << command;
    EXPECT_LE(Count(err_.str(), " lost, "), 1) << err_.str();
    EXPECT_EQ(Count(err_.str(), " lost, "), Count(err_.str(), " is back")) << err_.str();
  }
}

TEST_F(FollowTest, AServerThatEndsAStreamByItselfIsNoLossOfTheConnection) {
  server_.num_points = 9;
  server_.drop_after = 4;
  server_.drop_politely = true;

  EXPECT_EQ(Run({"metrics", "a", "-f", "-o", "json"}), kDone);
  EXPECT_EQ(PrintedSeqs(), UpTo(9));
  EXPECT_EQ(err_.str(), "a is SUCCEEDED\n");
}

TEST_F(FollowTest, AServerThatStaysAwayIsFourAndTellsHowToGoOn) {
  server_.num_points = 5;
  server_.stays_open = true;
  Start({"metrics", "a", "-f", "-o", "json", "--retry-for", "300ms"});
  server_.WaitForOpenStreams(1);
  server_.Stop();

  EXPECT_EQ(code_.get(), kUnreachable);
  EXPECT_EQ(PrintedSeqs(), UpTo(5));
  EXPECT_THAT(err_.str(), HasSubstr("lost, trying again for up to 300ms"));
  EXPECT_THAT(err_.str(), HasSubstr("it stayed away for 300ms"));
  EXPECT_THAT(err_.str(), HasSubstr("go on later: g2ll metrics -f a --from-seq 6\n"));
  server_.Start();
}

TEST_F(FollowTest, CtrlCDetachesWithOneLine) {
  AddJob("a", v1::Job::RUNNING);
  server_.stays_open = true;
  server_.watch_stays_open = true;
  server_.watch_sessions = {{{}, absl::OkStatus()}};
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"metrics", "a", "-f"},
                                             {"logs", "a", "-f"},
                                             {"watch", "a", "-o", "json"},
                                             {"wait", "a"},
                                             {"list", "--watch"}}) {
    stop_ = std::stop_source();
    env_.stop = stop_.get_token();
    Start(args);
    server_.WaitForOpenStreams(1);
    stop_.request_stop();

    EXPECT_EQ(code_.get(), kInterrupted) << args[0];
    EXPECT_EQ(Count(err_.str(), "\n"), 1) << err_.str();
    EXPECT_THAT(err_.str(), HasSubstr("detached")) << args[0];
  }
}

TEST_F(FollowTest, ATimeLimitIsSeven) {
  AddJob("a", v1::Job::RUNNING);
  server_.stays_open = true;
  server_.watch_stays_open = true;
  server_.watch_sessions = {{{}, absl::OkStatus()}};

  EXPECT_EQ(Run({"metrics", "a", "-f", "--timeout", "100ms"}), kTimedOut);
  EXPECT_THAT(err_.str(), HasSubstr("time ran out; the job goes on"));
  EXPECT_EQ(Run({"wait", "a", "--timeout", "100ms"}), kTimedOut);
  EXPECT_EQ(Run({"watch", "a", "--timeout", "100ms"}), kTimedOut);
  EXPECT_EQ(Run({"list", "--watch", "--timeout", "100ms"}), kTimedOut);
  EXPECT_EQ(Run({"get", "a", "--timeout", "soon"}), kBadInput);
  EXPECT_EQ(Run({"get", "a", "--retry-for", "-1s"}), kBadInput);
}

TEST_F(FollowTest, ATailIsAskedForOnlyOnce) {
  server_.num_points = 9;
  server_.drop_after = 2;

  EXPECT_EQ(Run({"logs", "a", "-f", "--tail", "4", "-o", "json"}), kDone);
  EXPECT_EQ(PrintedSeqs(), (std::vector<int64_t>{6, 7, 8, 9}));
}

TEST_F(FollowTest, WatchDoesNotRepeatAVersionThatWasSeen) {
  v1::Job& job = AddJob("a", v1::Job::RUNNING);
  job.set_etag("e1");
  server_.watch_stays_open = true;
  Start({"watch", "a", "-o", "json"});
  server_.WaitForOpenStreams(1);
  server_.Stop();
  server_.watch_stays_open = false;
  job.set_state(v1::Job::FAILED);
  job.set_etag("e2");
  server_.Start();

  EXPECT_EQ(code_.get(), kFailed);
  EXPECT_EQ(Count(out_.str(), "\n"), 2) << out_.str();
}

TEST_F(FollowTest, WatchSkipsTheVersionThatItShowedBefore) {
  AddJob("a", v1::Job::RUNNING).set_etag("e1");
  // The stream ends at once twice, as if the connection were lost.
  server_.failures["WatchJob"] = {absl::OkStatus(), absl::OkStatus(),
                                  absl::PermissionDeniedError("enough")};

  EXPECT_EQ(Run({"watch", "a", "-o", "json"}), kRefused);
  EXPECT_EQ(Count(out_.str(), "\n"), 1) << out_.str();
  EXPECT_EQ(server_.num_calls["WatchJob"], 3);
}

v1::WatchJobsResponse Changed(const std::string& name, const std::string& etag,
                              const std::string& token) {
  v1::WatchJobsResponse message;
  message.set_type(v1::WatchJobsResponse::CHANGED);
  message.mutable_job()->set_name("projects/default/jobs/" + name);
  message.mutable_job()->set_uid("uid-" + name);
  message.mutable_job()->set_etag(etag);
  message.mutable_job()->set_state(v1::Job::RUNNING);
  message.set_resume_token(token);
  return message;
}

v1::WatchJobsResponse Bookmark(const std::string& token) {
  v1::WatchJobsResponse message;
  message.set_type(v1::WatchJobsResponse::BOOKMARK);
  message.set_resume_token(token);
  return message;
}

TEST_F(FollowTest, ListWatchGoesOnBehindTheLastMessageAndShowsNoChangeTwice) {
  server_.watch_sessions = {
      {{Changed("a", "1", "t1"), Changed("b", "1", "t2"), Bookmark("t3")},
       absl::UnavailableError("gone")},
      {{Changed("a", "2", "t4")},
       net::WithReason(absl::OutOfRangeError("too old"), "RESUME_EXPIRED")},
      // Anew: `a` as it was seen, `b` no longer there.
      {{Changed("a", "2", ""), Bookmark("t9")}, absl::PermissionDeniedError("enough")}};
  server_.watch_sessions[1].messages.push_back(Bookmark("t5"));

  EXPECT_EQ(Run({"list", "--watch", "-o", "json"}), kRefused);
  std::vector<std::string> shown;
  for (const auto line : absl::StrSplit(out_.str(), '\n', absl::SkipEmpty())) {
    const auto json = nlohmann::json::parse(std::string(line));
    shown.push_back(json["event"].get<std::string>() + " " + json["uid"].get<std::string>());
  }
  EXPECT_THAT(shown,
              ElementsAre("CHANGED uid-a", "CHANGED uid-b", "CHANGED uid-a", "DELETED uid-b"));
  EXPECT_THAT(server_.watch_tokens, ElementsAre("", "t3", ""));
}

TEST_F(FollowTest, ListWatchGoesOnWhereAServerThatEndsTheStreamSays) {
  server_.watch_sessions = {
      {{Changed("a", "1", "t1")},
       net::WithReason(absl::UnavailableError("restart"), "STREAM_ENDED", {{"resumeToken", "t8"}})},
      {{}, absl::PermissionDeniedError("enough")}};

  EXPECT_EQ(Run({"list", "--watch"}), kRefused);
  EXPECT_THAT(server_.watch_tokens, ElementsAre("", "t8"));
  EXPECT_EQ(err_.str(), "g2ll: enough\n");
}

TEST_F(FollowTest, ListWatchMakesOneFilterOfAllConditions) {
  server_.watch_sessions = {{{}, absl::PermissionDeniedError("enough")}};

  EXPECT_EQ(Run({"list", "--watch", "--state", "running", "-l", "study=t1", "--filter",
                 "name = a OR name = b", "--all-projects"}),
            kRefused);
  EXPECT_THAT(server_.requests["WatchJobs"],
              HasSubstr("filter: \"state = RUNNING AND labels.study = \\\"t1\\\" AND "
                        "(name = a OR name = b)\""));
  EXPECT_THAT(server_.requests["WatchJobs"], HasSubstr("projects/-"));
  EXPECT_EQ(Run({"list", "--watch", "--order-by", "name"}), kBadInput);
}

TEST_F(FollowTest, ListSendsFilterOrderAndLimit) {
  for (const char* name : {"a", "b", "c"}) AddJob(name, v1::Job::RUNNING);

  EXPECT_EQ(Run({"list", "--filter", "state = RUNNING", "--order-by", "name desc", "-o", "name"}),
            kDone);
  EXPECT_THAT(server_.requests["ListJobs"], HasSubstr("filter: \"state = RUNNING\""));
  EXPECT_THAT(server_.requests["ListJobs"], HasSubstr("order_by: \"name desc\""));
  EXPECT_EQ(Count(out_.str(), "\n"), 3);
  EXPECT_EQ(Run({"list", "--limit", "2", "-o", "json"}), kDone);
  EXPECT_EQ(Json().size(), 2u);
  EXPECT_EQ(Run({"list", "--all-projects"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("PROJECT\tNAME\t"));
  EXPECT_EQ(Run({"list", "-l", "a\"b=c"}), kBadInput);
}

}  // namespace
}  // namespace g2ll::cli
