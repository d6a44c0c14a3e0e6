#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/common/grpc_status.h"
#include "server/api/list_filter.h"
#include "server/api/list_jobs.h"

namespace g2ll::api {
namespace {

using cluster::JobRecord;
using cluster::JobState;
using coordinator::JobPtr;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

JobRecord MakeJob() {
  JobRecord job;
  job.uid = "u1";
  job.project = "default";
  job.name = "skin-g2ll";
  job.state = JobState::kRunning;
  job.priority = cluster::Priority::kHigh;
  job.queue = "night";
  job.labels = {{"study", "table1"}, {"seed", "3"}};
  job.create_time = absl::FromUnixSeconds(1700000000);  // 2023-11-14T22:13:20Z
  return job;
}

bool Fits(const std::string& filter) {
  const absl::StatusOr<JobFilter> parsed = ParseFilter(filter);
  EXPECT_TRUE(parsed.ok()) << filter << ": " << parsed.status();
  return parsed.ok() && (*parsed)(MakeJob());
}

TEST(FilterTest, SaysWhichJobsFit) {
  for (const char* filter :
       {"", "  ", "state = RUNNING", "state=RUNNING AND kind=PretrainJob", "name : g2ll",
        "name = skin-g2ll", "name = projects/default/jobs/skin-g2ll", "labels.study = table1",
        "labels.study:*", "NOT labels.other:*", "labels.other != x", "priority >= normal",
        "queue = \"night\"", "create_time > 2023-11-14T00:00:00Z",
        "create_time < \"2023-11-15T00:00:00Z\"", "(state = FAILED OR state = RUNNING)",
        "NOT (state = FAILED) AND labels.seed = 3",
        "state = FAILED OR labels.seed = 3 AND name:skin"}) {
    EXPECT_TRUE(Fits(filter)) << filter;
  }
  for (const char* filter :
       {"state = FAILED", "name = g2ll", "labels.study = table2", "labels.other = x",
        "labels.other:*", "priority < high", "create_time > 2024-01-01T00:00:00Z",
        "end_time < 2099-01-01T00:00:00Z", "state = RUNNING AND NOT labels.study:*",
        "(state = RUNNING OR state = FAILED) AND kind = EvaluateJob"}) {
    EXPECT_FALSE(Fits(filter)) << filter;
  }
}

struct BadFilter {
  std::string text;
  std::string says;
};

TEST(FilterTest, ABadOneNamesThePlaceAndWhatMayStandThere) {
  std::string deep(40, '(');
  std::string many = "name = a";
  for (int i = 0; i < 100; ++i) many += " AND name = a";
  for (const BadFilter& bad :
       std::vector<BadFilter>{{"colour = red", "'colour' is no field"},
                              {"state", "its end"},
                              {"state = ", "a value for 'state'"},
                              {"state = running", "a state such as RUNNING"},
                              {"state > RUNNING", "= or !="},
                              {"priority = urgent", "low, normal or high"},
                              {"create_time > yesterday", "2026-01-31"},
                              {"name = a name = b", "'name = b' (character 10)"},
                              {"(name = a", "closing bracket"},
                              {"name = \"a", "has no end"},
                              {"= a", "a field is expected"},
                              {"labels.a < b", "allowed are = and !="},
                              {deep + "name = a", "brackets"},
                              {many, "64 terms"},
                              {std::string(5000, 'a'), "4096"}}) {
    const absl::Status refused = ParseFilter(bad.text).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << bad.text;
    EXPECT_EQ(net::ReasonOf(refused), "BAD_FILTER") << bad.text;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(bad.says)) << bad.text;
  }
}

TEST(OrderTest, ReadsFieldsAndDirections) {
  EXPECT_THAT(*ParseOrder(""), ElementsAre(OrderKey{OrderKey::Field::kCreateTime, true}));
  EXPECT_THAT(*ParseOrder("priority desc, name"),
              ElementsAre(OrderKey{OrderKey::Field::kPriority, true},
                          OrderKey{OrderKey::Field::kName, false}));
  for (const char* bad : {"colour", "name up", "name,", "name desc desc"}) {
    EXPECT_EQ(net::ReasonOf(ParseOrder(bad).status()), "BAD_ORDER_BY") << bad;
  }
}

// Pages of any size in any order give every job that fits exactly once, in order.
TEST(ListTest, PagesGiveEveryJobOnceInOrder) {
  std::mt19937 random(7);
  std::vector<JobPtr> jobs;
  for (int i = 0; i < 60; ++i) {
    JobRecord job = MakeJob();
    job.uid = absl::StrCat("u", random() % 100000, "-", i);
    job.name = absl::StrCat("n", random() % 9);
    job.priority = static_cast<cluster::Priority>(1 + random() % 3);
    job.state = i % 4 == 0 ? JobState::kFailed : JobState::kPending;
    job.create_time = absl::FromUnixSeconds(1700000000 + static_cast<int64_t>(random() % 10));
    jobs.push_back(std::make_shared<const JobRecord>(job));
  }
  for (const char* order : {"", "name", "priority desc, create_time", "end_time, state desc"}) {
    for (const int32_t size : {1, 7, 100}) {
      v1::ListJobsRequest request;
      request.set_page_size(size);
      request.set_order_by(order);
      request.set_filter("state = PENDING");
      std::vector<JobPtr> listed;
      bool more = true;
      while (more) {
        const absl::StatusOr<ListJobsQuery> query = ReadListRequest(request);
        ASSERT_TRUE(query.ok()) << query.status();
        const JobPage page = PageOf(jobs, *query);
        EXPECT_EQ(page.total, 45);
        listed.insert(listed.end(), page.jobs.begin(), page.jobs.end());
        more = page.has_more;
        request.set_page_token(NextPageToken(request, *page.jobs.back()));
      }
      EXPECT_EQ(listed.size(), 45u) << order << " " << size;
      const std::vector<OrderKey> keys = *ParseOrder(order);
      for (size_t i = 1; i < listed.size(); ++i) {
        EXPECT_TRUE(ComesBefore(*listed[i - 1], *listed[i], keys)) << order << " " << size;
      }
    }
  }
}

TEST(ListTest, ATokenFitsOnlyItsOwnList) {
  v1::ListJobsRequest request;
  request.set_page_token(NextPageToken(request, MakeJob()));
  EXPECT_TRUE(ReadListRequest(request).ok());
  request.set_order_by("name");
  EXPECT_EQ(net::ReasonOf(ReadListRequest(request).status()), "BAD_PAGE_TOKEN");
  for (const char* forged : {"x", "1.2.3", "........", "a.b.c.d.e.f.g.h"}) {
    request.set_page_token(forged);
    EXPECT_EQ(net::ReasonOf(ReadListRequest(request).status()), "BAD_PAGE_TOKEN") << forged;
  }
}

}  // namespace
}  // namespace g2ll::api
