// The index of changes that watchers of jobs read, and what the core puts into it.
#include "server/coordinator/job_feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/core_fixture.h"

namespace g2ll::testing {
namespace {

using coordinator::FeedEntry;
using coordinator::JobFeed;
using coordinator::JobPtr;
using ::testing::ElementsAre;

JobPtr MakeJob(const std::string& uid, int64_t seq) {
  auto job = std::make_shared<cluster::JobRecord>();
  job->uid = uid;
  job->change_seq = seq;
  return job;
}

std::vector<std::string> Told(const JobFeed::Slice& slice) {
  std::vector<std::string> told;
  for (const FeedEntry& change : slice.changes) {
    told.push_back(change.job != nullptr ? absl::StrCat(change.seq, change.job->uid)
                                         : absl::StrCat(change.seq, "-", change.tombstone.uid));
  }
  return told;
}

TEST(JobFeedTest, OfManyChangesOfAJobTheNewestIsLeft) {
  JobFeed feed;
  for (int64_t seq = 1; seq <= 1000; ++seq) {
    feed.Publish({MakeJob(seq % 2 == 0 ? "a" : "b", seq)}, {});
  }
  feed.Publish({}, {{1001, "a", "p", "n"}});

  EXPECT_THAT(Told(feed.Read(0, 10)), ElementsAre("999b", "1001-a"));
  EXPECT_EQ(feed.Read(0, 10).position, 1001);
  EXPECT_THAT(Told(feed.Read(999, 10)), ElementsAre("1001-a"));
}

TEST(JobFeedTest, AReaderGetsPagesAndThenWhatIsNew) {
  JobFeed feed;
  feed.Reset({MakeJob("a", 1), MakeJob("b", 2), MakeJob("c", 3)}, {}, 7, 0);

  const JobFeed::Slice first = feed.Read(0, 2);
  EXPECT_THAT(Told(first), ElementsAre("1a", "2b"));
  EXPECT_TRUE(first.has_more);
  EXPECT_EQ(first.position, 2);
  const JobFeed::Slice second = feed.Read(first.position, 2);
  EXPECT_THAT(Told(second), ElementsAre("3c"));
  EXPECT_FALSE(second.has_more);
  EXPECT_EQ(second.position, 7);
  feed.Publish({MakeJob("a", 8)}, {});
  EXPECT_THAT(Told(feed.Read(second.position, 2)), ElementsAre("8a"));
}

TEST(JobFeedTest, WhatIsForgottenExpiresPositionsBeforeIt) {
  JobFeed feed;
  feed.Publish({MakeJob("a", 1)}, {{2, "x", "p", "n"}, {4, "y", "p", "n"}});

  feed.Forget(2);

  EXPECT_TRUE(feed.Read(1, 10).is_expired);
  EXPECT_FALSE(feed.Read(2, 10).is_expired);
  EXPECT_THAT(Told(feed.Read(2, 10)), ElementsAre("4-y"));
  EXPECT_THAT(feed.ReadJobs("", 10).size(), 1u);
}

TEST(JobFeedTest, AnyReaderEndsWithWhatThereIs) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    JobFeed feed;
    std::map<std::string, int64_t> truth;
    std::map<std::string, int64_t> read;
    int64_t position = 0;
    const auto advance = [&](size_t limit) {
      const JobFeed::Slice slice = feed.Read(position, limit);
      position = slice.position;
      for (const FeedEntry& change : slice.changes) {
        if (change.job != nullptr) {
          read[change.job->uid] = change.seq;
        } else {
          read.erase(change.tombstone.uid);
        }
      }
      return slice.has_more;
    };
    for (int64_t seq = 1; seq <= 300; ++seq) {
      const std::string uid = absl::StrCat(random() % 20);
      if (truth.contains(uid) && random() % 8 == 0) {
        truth.erase(uid);
        feed.Publish({}, {{seq, uid, "p", "n"}});
      } else {
        truth[uid] = seq;
        feed.Publish({MakeJob(uid, seq)}, {});
      }
      if (random() % 10 == 0) {
        advance(random() % 5 + 1);
      }
    }
    while (advance(3)) {
    }

    EXPECT_EQ(read, truth);
  }
}

class CoreFeedTest : public CoreTest {};

TEST_F(CoreFeedTest, ChangesAreThereOnlyOnceTheyAreStored) {
  FakeWorker worker = Connect("w1");
  RunJob(worker, "a");
  const int64_t before = core_->feed().last_seq();

  core_->CancelJob({"projects/default/jobs/a", "enough", ""}, false, now_).value();

  EXPECT_EQ(core_->feed().last_seq(), before);
  Flush();
  const JobFeed::Slice slice = core_->feed().Read(before, 10);
  ASSERT_EQ(slice.changes.size(), 1u);
  EXPECT_EQ(slice.changes[0].job->state, StateOf("a"));
}

TEST_F(CoreFeedTest, DeletionsOutliveARestartUntilThereAreTooMany) {
  options_.max_tombstones = 3;
  StartCore();
  FakeWorker worker = Connect("w1");
  int64_t before_deletion = 0;
  const auto make_and_delete = [&](const std::string& name) {
    Create(MakeCommand(name));
    Report(worker);
    core_->CancelJob({"projects/default/jobs/" + name, "", ""}, false, now_).value();
    Flush();
    Reach(worker, cluster::AttemptPhase::kEnded);
    before_deletion = core_->feed().last_seq();
    ASSERT_TRUE(core_->DeleteJob({"projects/default/jobs/" + name, "", ""}).ok());
    Flush();
  };
  make_and_delete("a");
  make_and_delete("b");
  make_and_delete("c");
  const int64_t seen = before_deletion;
  EXPECT_FALSE(core_->feed().Read(0, 10).is_expired);

  StartCore();
  Reconnect(worker);
  EXPECT_FALSE(core_->feed().Read(seen, 10).is_expired);
  EXPECT_EQ(core_->feed().Read(seen, 10).changes.back().tombstone.name, "c");
  make_and_delete("d");
  make_and_delete("e");

  // Known are now the deletions of c, d and e.
  EXPECT_FALSE(core_->feed().Read(seen, 10).is_expired);
  EXPECT_TRUE(core_->feed().Read(0, 10).is_expired);
  StartCore();
  EXPECT_TRUE(core_->feed().Read(0, 10).is_expired);
  EXPECT_FALSE(core_->feed().Read(seen, 10).is_expired);
  EXPECT_EQ(core_->feed().Read(seen, 10).changes.size(), 3u);
}

}  // namespace
}  // namespace g2ll::testing
