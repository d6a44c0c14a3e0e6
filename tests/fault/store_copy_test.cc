// A failed sync while the store copies its log of changes into the database.
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/common/failpoint.h"
#include "server/store/fault_vfs.h"
#include "server/store/sqlite_job_store.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::fault {
namespace {

constexpr char kSync[] = "store.vfs.sync.before";

// One commit of about 30 pages.
store::WriteBatch BigBatch(int number) {
  store::WriteBatch batch;
  cluster::RequestRecord request;
  request.request_id = absl::StrCat("request", number);
  request.fingerprint = std::string(120'000, 'x');
  batch.requests.push_back(request);
  return batch;
}

class StoreCopyTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { store::InstallFaultVfs(); }
  void TearDown() override { EXPECT_TRUE(failpoint::Arm("").ok()); }

  int64_t Syncs() const {
    std::ifstream file(trace_);
    std::string name;
    int64_t hit = 0;
    int64_t last = 0;
    while (file >> name >> hit) {
      last = hit;
    }
    return last;
  }

  // Commits until the log is copied. Returns the number of that commit, and of the last
  // sync in it, which is that of the database.
  std::pair<int, int64_t> FindCopy() {
    auto store = store::SqliteJobStore::Open(directory_.path() + "/dry").value();
    EXPECT_TRUE(failpoint::Arm(absl::StrCat(kSync, "=trace=", trace_)).ok());
    for (int number = 0; number < 1000; ++number) {
      const int64_t before = Syncs();
      EXPECT_TRUE(store->Commit(BigBatch(number)).ok());
      if (const int64_t after = Syncs(); after > before + 1) {
        return {number, after};
      }
    }
    return {-1, 0};
  }

  const testing::TemporaryDirectory directory_;
  const std::string trace_ = directory_.path() + "/trace";
};

TEST_F(StoreCopyTest, ADatabaseThatCannotBeSyncedFailsTheCommitThatCopies) {
  const auto [copying, sync] = FindCopy();
  ASSERT_GE(copying, 0) << "the log was never copied";
  {
    auto store = store::SqliteJobStore::Open(directory_.path() + "/real").value();
    ASSERT_TRUE(failpoint::Arm(absl::StrCat(kSync, ":", sync, "=error=INTERNAL")).ok());
    for (int number = 0; number < copying; ++number) {
      ASSERT_TRUE(store->Commit(BigBatch(number)).ok());
    }
    EXPECT_EQ(store->Commit(BigBatch(copying)).code(), absl::StatusCode::kDataLoss);
  }
  ASSERT_TRUE(failpoint::Arm("").ok());

  auto again = store::SqliteJobStore::Open(directory_.path() + "/real");
  ASSERT_TRUE(again.ok()) << again.status();
  const auto state = (*again)->Load();
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_GE(state->requests.size(), static_cast<size_t>(copying));
  std::cout << "failed sync of the database: commits acknowledged " << copying << ", stored "
            << state->requests.size() << ", lost 0" << std::endl;
}

}  // namespace
}  // namespace g2ll::fault
