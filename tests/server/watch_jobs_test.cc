// WatchJobs, as its readers see it.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/api/watch_service.h"
#include "tests/server/api_fixture.h"

namespace g2ll::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class WatchJobsTest : public ApiTest {
 protected:
  struct Watcher {
    grpc::ClientContext call;
    std::unique_ptr<grpc::ClientReader<v1::WatchJobsResponse>> reader;
    std::string token;
    int messages = 0;
    std::map<std::string, std::string> told;

    // The next message that says something new, as `TYPE NAME STATE`.
    std::string Next() {
      while (true) {
        const std::string text = NextMessage();
        if (text.empty() || text == "BOOKMARK") {
          return text;
        }
        const std::string name = text.substr(text.find(' ') + 1, 2);
        if (std::exchange(told[name], text) != text) {
          return text;
        }
      }
    }
    std::string NextMessage() {
      v1::WatchJobsResponse response;
      if (!reader->Read(&response)) {
        return "";
      }
      ++messages;
      EXPECT_FALSE(response.resume_token().empty());
      token = response.resume_token();
      const std::string type = v1::WatchJobsResponse::Type_Name(response.type());
      if (!response.has_job()) {
        return type;
      }
      const std::string name = response.job().name();
      const std::string state = response.type() == v1::WatchJobsResponse::DELETED
                                    ? ""
                                    : " " + v1::Job::State_Name(response.job().state());
      return absl::StrCat(type, " ", name.substr(name.rfind('/') + 1), state);
    }
    // Messages up to the next bookmark.
    std::vector<std::string> UpToBookmark() {
      std::vector<std::string> told;
      for (std::string next = Next(); next != "BOOKMARK" && !next.empty(); next = Next()) {
        told.push_back(next);
      }
      return told;
    }
    absl::Status Finish() {
      while (!Next().empty()) {
      }
      return net::FromGrpcStatus(reader->Finish());
    }
    absl::Status Leave() {
      call.TryCancel();
      return Finish();
    }
  };

  std::unique_ptr<Watcher> Watch(const std::string& filter = "", const std::string& token = "",
                                 const std::string& parent = "") {
    auto watcher = std::make_unique<Watcher>();
    v1::WatchJobsRequest request;
    request.set_parent(parent);
    request.set_filter(filter);
    request.set_resume_token(token);
    watcher->reader = jobs_->WatchJobs(&watcher->call, request);
    return watcher;
  }
  void Make(const std::string& name, const std::string& project = "") {
    v1::CreateJobRequest request = MakeRequest(name);
    request.set_parent(project);
    v1::Job job;
    ASSERT_TRUE(Create(request, &job).ok());
  }
  void Cancel(const std::string& name) {
    grpc::ClientContext call;
    v1::CancelJobRequest request;
    request.set_name("projects/default/jobs/" + name);
    v1::Job job;
    ASSERT_TRUE(jobs_->CancelJob(&call, request, &job).ok());
  }
  void Delete(const std::string& name) {
    grpc::ClientContext call;
    v1::DeleteJobRequest request;
    request.set_name("projects/default/jobs/" + name);
    google::protobuf::Empty empty;
    ASSERT_TRUE(jobs_->DeleteJob(&call, request, &empty).ok());
  }
};

TEST_F(WatchJobsTest, AllJobsComeThenABookmarkThenWhatChanges) {
  Make("a");
  Make("b");
  const auto watcher = Watch();
  EXPECT_THAT(watcher->UpToBookmark(),
              UnorderedElementsAre("CHANGED a PENDING", "CHANGED b PENDING"));

  Make("c");
  EXPECT_EQ(watcher->Next(), "CHANGED c PENDING");
  Cancel("a");
  EXPECT_EQ(watcher->Next(), "CHANGED a CANCELLED");
  Delete("a");
  EXPECT_EQ(watcher->Next(), "DELETED a");
  EXPECT_TRUE(absl::IsCancelled(watcher->Leave()));
}

TEST_F(WatchJobsTest, AWatcherThatComesBackGetsWhatItMissed) {
  Make("a");
  Make("b");
  Make("c");
  auto watcher = Watch();
  EXPECT_EQ(watcher->UpToBookmark().size(), 3u);
  const std::string token = watcher->token;
  watcher->Leave().IgnoreError();
  Cancel("a");
  Cancel("b");
  Delete("b");
  Make("d");

  watcher = Watch("", token);

  EXPECT_THAT(watcher->UpToBookmark(),
              ElementsAre("CHANGED a CANCELLED", "DELETED b", "CHANGED d PENDING"));
  watcher->Leave().IgnoreError();
}

TEST_F(WatchJobsTest, AWatcherMayBreakOffInTheMiddleOfTheList) {
  for (int i = 0; i < 10; ++i) {
    Make(absl::StrCat("j", i));
  }
  std::vector<std::string> told;
  std::string token;
  for (int i = 0; i < 10; ++i) {
    const auto watcher = Watch("", token);
    told.push_back(watcher->Next());
    token = watcher->token;
    watcher->Leave().IgnoreError();
  }
  Cancel("j3");

  const auto watcher = Watch("", token);
  EXPECT_THAT(watcher->UpToBookmark(), ElementsAre("CHANGED j3 CANCELLED"));
  watcher->Leave().IgnoreError();
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told.front(), "CHANGED j0 PENDING");
  EXPECT_EQ(told.back(), "CHANGED j9 PENDING");
  EXPECT_EQ(std::unique(told.begin(), told.end()), told.end());
}

TEST_F(WatchJobsTest, AFilterTellsOnceOfAJobThatNoLongerFits) {
  Make("a");
  Make("b");
  Cancel("b");
  const auto watcher = Watch("state = PENDING");
  EXPECT_THAT(watcher->UpToBookmark(), ElementsAre("CHANGED a PENDING"));
  const std::string token = watcher->token;

  Delete("b");  // Never shown: nothing is told of it.
  Cancel("a");
  EXPECT_EQ(watcher->Next(), "DELETED a");
  Delete("a");
  Make("c");
  EXPECT_EQ(watcher->Next(), "CHANGED c PENDING");

  // Who comes back may have both, as far as the server knows.
  const auto later = Watch("state = PENDING", token);
  EXPECT_THAT(later->UpToBookmark(), ElementsAre("DELETED b", "DELETED a", "CHANGED c PENDING"));
  watcher->Leave().IgnoreError();
  later->Leave().IgnoreError();
}

TEST_F(WatchJobsTest, OneProjectOrAll) {
  Make("a");
  Make("b", "projects/other");
  const auto other = Watch("", "", "projects/other");
  const auto all = Watch("", "", "projects/-");

  EXPECT_THAT(other->UpToBookmark(), ElementsAre("CHANGED b PENDING"));
  EXPECT_THAT(all->UpToBookmark(), UnorderedElementsAre("CHANGED a PENDING", "CHANGED b PENDING"));
  other->Leave().IgnoreError();
  all->Leave().IgnoreError();
}

TEST_F(WatchJobsTest, AForeignTokenIsRefused) {
  Make("a");
  const auto watcher = Watch();
  watcher->UpToBookmark();
  watcher->Leave().IgnoreError();

  for (const auto& [filter, token, parent] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"state = PENDING", watcher->token, ""},
           {"", watcher->token, "projects/other"},
           {"", watcher->token.substr(1), ""},
           {"", "x", ""},
           {"", std::string(100000, 'A'), ""}}) {
    const auto refused = Watch(filter, token, parent);
    EXPECT_EQ(net::ReasonOf(refused->Finish()), "BAD_RESUME_TOKEN");
  }
  EXPECT_EQ(net::ReasonOf(Watch("colour = red")->Finish()), "BAD_FILTER");
}

TEST_F(WatchJobsTest, ATokenOfAStoreThatIsGoneHasExpired) {
  Make("a");
  const std::string token = ResumeToken({1000, ""}, "default\n");

  const absl::Status status = Watch("", token)->Finish();

  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(net::ReasonOf(status), "RESUME_EXPIRED");
}

TEST_F(WatchJobsTest, AQuietStreamIsToldThatItIsUpToDate) {
  Make("a");
  const auto watcher = Watch();
  watcher->UpToBookmark();
  const std::string token = watcher->token;

  streams_->Sweep(absl::Now() + absl::Seconds(31));

  EXPECT_EQ(watcher->Next(), "BOOKMARK");
  EXPECT_EQ(watcher->token, token);
  watcher->Leave().IgnoreError();
}

TEST_F(WatchJobsTest, StoppingGivesATokenThatGoesOn) {
  Make("a");
  const auto watcher = Watch();
  watcher->UpToBookmark();

  streams_->EndAll(net::WithReason(absl::UnavailableError("stopping"), "STOPPING"));

  const absl::Status end = watcher->Finish();
  EXPECT_EQ(net::ReasonOf(end), "STOPPING");
  EXPECT_EQ(net::MetadataOf(end)["resumeToken"], watcher->token);
}

TEST_F(WatchJobsTest, ASlowWatcherGetsTheNewestStateAndNoMore) {
  // So large that the connection's buffers do not hold them all.
  v1::CreateJobRequest request = MakeRequest("a");
  for (int i = 0; i < 900; ++i) {
    (*request.mutable_job()->mutable_labels())[absl::StrCat(std::string(50, 'k'), i)] =
        std::string(60, 'v');
  }
  v1::Job job;
  ASSERT_TRUE(Create(request, &job).ok());
  RunWorkerUntil(v1::Job::RUNNING);
  const auto watcher = Watch();
  EXPECT_EQ(watcher->UpToBookmark().size(), 1u);

  // Each of these is a change of the job; the watcher reads none of them now.
  for (int64_t seq = 1; seq <= 600; ++seq) {
    PushPoints(job.uid(), seq, seq);
  }
  EndJob();

  std::string last;
  while (last != "CHANGED a CANCELLED") {
    last = watcher->Next();
    ASSERT_FALSE(last.empty());
  }
  // What was on its way, and the newest state.
  EXPECT_LT(watcher->messages, 200);
  watcher->Leave().IgnoreError();
}

class ShortMemoryTest : public WatchJobsTest {
 protected:
  void SetUp() override {
    core_options_.max_tombstones = 2;
    WatchJobsTest::SetUp();
  }
};

TEST_F(ShortMemoryTest, ATokenFromBeforeWhatIsKnownHasExpired) {
  const auto watcher = Watch();
  EXPECT_THAT(watcher->UpToBookmark(), IsEmpty());
  watcher->Leave().IgnoreError();
  for (const char* name : {"a", "b", "c"}) {
    Make(name);
    Cancel(name);
    Delete(name);
  }

  const absl::Status status = Watch("", watcher->token)->Finish();

  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(net::ReasonOf(status), "RESUME_EXPIRED");
}

TEST(ResumeTokenTest, ATokenIsReadAsItWasWrittenAndFitsItsScopeOnly) {
  for (const WatchPosition& position :
       {WatchPosition{0, ""}, WatchPosition{1, "abc"}, WatchPosition{int64_t{1} << 60, ""}}) {
    const std::string token = ResumeToken(position, "scope");

    EXPECT_EQ(ReadResumeToken(token, "scope").value(), position);
    EXPECT_FALSE(ReadResumeToken(token, "other").ok());
    for (size_t i = 0; i < token.size(); ++i) {
      std::string forged = token;
      forged[i] = forged[i] == 'x' ? 'y' : 'x';
      EXPECT_FALSE(ReadResumeToken(forged, "scope").ok()) << i;
    }
  }
}

}  // namespace
}  // namespace g2ll::api
