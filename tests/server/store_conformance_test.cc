// The stores that there are, against what every store promises.
#include "tests/server/store_conformance.h"

#include "server/store/sqlite_job_store.h"
#include "tests/server/memory_store.h"
#include "tests/server/temporary_directory.h"

namespace g2ll::testing {
namespace {

class SqliteUnderTest final : public StoreUnderTest {
 public:
  SqliteUnderTest() { Open(); }
  store::JobStore& store() override { return *store_; }
  store::TelemetryReader& reader() override { return *reader_; }
  void Reopen() override {
    reader_.reset();
    store_.reset();
    Open();
  }

 private:
  void Open() {
    store_ = store::SqliteJobStore::Open(directory_.path()).value();
    reader_ = store::OpenSqliteReader(directory_.path()).value();
  }

  const TemporaryDirectory directory_;
  std::unique_ptr<store::SqliteJobStore> store_;
  std::unique_ptr<store::TelemetryReader> reader_;
};

class MemoryUnderTest final : public StoreUnderTest {
 public:
  store::JobStore& store() override { return *store_; }
  store::TelemetryReader& reader() override { return *store_; }
  void Reopen() override { store_ = std::make_unique<MemoryStore>(disk_); }

 private:
  const std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  std::unique_ptr<MemoryStore> store_ = std::make_unique<MemoryStore>(disk_);
};

INSTANTIATE_TEST_SUITE_P(
    Stores, StoreConformanceTest,
    ::testing::Values(StoreKind{"Sqlite", [] { return std::make_unique<SqliteUnderTest>(); }},
                      StoreKind{"Memory", [] { return std::make_unique<MemoryUnderTest>(); }}),
    [](const ::testing::TestParamInfo<StoreKind>& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace g2ll::testing
