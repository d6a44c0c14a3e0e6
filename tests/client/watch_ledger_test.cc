#include "client/api/watch_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace g2ll::client {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::WatchJobsResponse Message(v1::WatchJobsResponse::Type type, const std::string& uid,
                              const std::string& etag, const std::string& token = "") {
  v1::WatchJobsResponse message;
  message.set_type(type);
  if (!uid.empty()) {
    message.mutable_job()->set_uid(uid);
    message.mutable_job()->set_name("jobs/" + uid);
    message.mutable_job()->set_etag(etag);
  }
  message.set_resume_token(token);
  return message;
}

constexpr auto kChanged = v1::WatchJobsResponse::CHANGED;
constexpr auto kDeleted = v1::WatchJobsResponse::DELETED;
constexpr auto kBookmark = v1::WatchJobsResponse::BOOKMARK;

TEST(WatchLedgerTest, AVersionComesOnce) {
  WatchLedger ledger;

  EXPECT_THAT(ledger.Take(Message(kChanged, "a", "1")), SizeIs(1));
  EXPECT_THAT(ledger.Take(Message(kChanged, "a", "1")), IsEmpty());
  EXPECT_THAT(ledger.Take(Message(kChanged, "a", "2")), SizeIs(1));
}

TEST(WatchLedgerTest, AJobThatWasNeverShownIsNotDeleted) {
  WatchLedger ledger;
  WatchLedger from_the_middle("t1");

  EXPECT_THAT(ledger.Take(Message(kDeleted, "a", "")), IsEmpty());
  EXPECT_THAT(from_the_middle.Take(Message(kDeleted, "a", "")), SizeIs(1));
  ledger.Take(Message(kChanged, "b", "1"));
  EXPECT_THAT(ledger.Take(Message(kDeleted, "b", "")), SizeIs(1));
  EXPECT_THAT(ledger.Take(Message(kChanged, "b", "1")), SizeIs(1));
}

TEST(WatchLedgerTest, ANewListingTellsWhatWentAwayInBetween) {
  WatchLedger ledger;
  ledger.Take(Message(kChanged, "a", "1"));
  ledger.Take(Message(kChanged, "b", "1"));
  EXPECT_THAT(ledger.Take(Message(kBookmark, "", "", "t1")), IsEmpty());
  EXPECT_EQ(ledger.resume_token(), "t1");

  ledger.BeginAnew();
  EXPECT_EQ(ledger.resume_token(), "");
  EXPECT_THAT(ledger.Take(Message(kChanged, "a", "1")), IsEmpty());
  const auto gone = ledger.Take(Message(kBookmark, "", "", "t2"));
  ASSERT_THAT(gone, SizeIs(1));
  EXPECT_EQ(gone[0].type, JobChange::Type::kDeleted);
  EXPECT_EQ(gone[0].job.uid(), "b");
  EXPECT_EQ(gone[0].job.name(), "jobs/b");
  EXPECT_THAT(ledger.Take(Message(kBookmark, "", "", "t3")), IsEmpty());
}

}  // namespace
}  // namespace g2ll::client
