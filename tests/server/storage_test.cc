#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "server/config/settings.h"
#include "server/storage/file_streamer.h"
#include "server/storage/storage_root.h"
#include "tests/server/temporary_directory.h"

namespace g2ll {
namespace {

using ::testing::HasSubstr;

TEST(StorageRootTest, TheTokenStaysBetweenStarts) {
  const testing::TemporaryDirectory directory;

  const std::string token = storage::StorageRoot::Open(directory.path())->token();

  EXPECT_EQ(token.size(), 64u);
  EXPECT_EQ(storage::StorageRoot::Open(directory.path())->token(), token);
}

TEST(StorageRootTest, PathsStayBelowTheRoot) {
  const testing::TemporaryDirectory directory;
  const auto root = storage::StorageRoot::Open(directory.path() + "/root").value();
  std::filesystem::create_directory_symlink(directory.path(), directory.path() + "/root/link");

  EXPECT_TRUE(root.Resolve("reports/u/e1").ok());
  for (const char* path : {"", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "link/x"}) {
    EXPECT_EQ(root.Resolve(path).status().code(), absl::StatusCode::kInvalidArgument) << path;
  }
}

TEST(StorageRootTest, AFileIsNoStorageRoot) {
  const testing::TemporaryDirectory directory;
  std::ofstream(directory.path() + "/file") << "x";

  const absl::Status refused = storage::StorageRoot::Open(directory.path() + "/file").status();

  EXPECT_THAT(std::string(refused.message()), HasSubstr("Not a directory"));
}

TEST(FileStreamerTest, AFileThatDiffersFromItsDigestIsDamaged) {
  const testing::TemporaryDirectory directory;
  std::ofstream(directory.path() + "/file") << "x";
  storage::FileStreamer streamer({{directory.path() + "/file", "file", "0123"}});

  EXPECT_EQ(streamer.Next().status().code(), absl::StatusCode::kDataLoss);
}

TEST(FileStreamerTest, AnEmptyFileIsOnePiece) {
  const testing::TemporaryDirectory directory;
  std::ofstream(directory.path() + "/file").flush();
  storage::FileStreamer streamer({{directory.path() + "/file", "file", ""}});

  EXPECT_EQ((*streamer.Next())->total_size, 0);
  EXPECT_FALSE(streamer.Next()->has_value());
}

config::RawSettings GoodSettings() {
  config::RawSettings raw;
  raw.data_dir = "data";
  raw.storage_root = "storage";
  return raw;
}

TEST(SettingsTest, EveryWrongSettingHasItsLine) {
  config::RawSettings raw = GoodSettings();
  raw.listen = "nonsense";
  raw.log_format = "xml";
  raw.data_dir = "";

  const std::string faults(config::Check(raw).status().message());

  EXPECT_THAT(faults, HasSubstr("--listen: "));
  EXPECT_THAT(faults, HasSubstr("--log-format: 'xml'"));
  EXPECT_THAT(faults, HasSubstr("--data-dir: "));
  EXPECT_EQ(std::count(faults.begin(), faults.end(), '\n'), 2);
}

TEST(SettingsTest, PlainTextBeyondThisMachineNeedsTheFlag) {
  config::RawSettings raw = GoodSettings();
  raw.listen = "0.0.0.0:7460";

  EXPECT_THAT(std::string(config::Check(raw).status().message()), HasSubstr("--allow-plaintext"));
  raw.allow_plaintext = true;
  EXPECT_TRUE(config::Check(raw).ok());
}

TEST(SettingsTest, AnUnknownKeyIsRefusedWithItsLine) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.path() + "/config.yaml";
  std::ofstream(path) << "listen: 127.0.0.1:1\nlistne: 127.0.0.1:2\n";
  config::RawSettings raw;

  const std::string fault(config::ReadFile(path, &raw).message());

  EXPECT_THAT(fault, HasSubstr("line 2"));
  EXPECT_THAT(fault, HasSubstr("listne"));
}

TEST(SettingsTest, RetentionIsReadFromItsMap) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.path() + "/config.yaml";
  std::ofstream(path) << "retention:\n  finishedJobs: 7d\n  logs: 36h\n  logBytesPerJob: 512MiB\n"
                         "  pointsPerJob: 1000\n  requests: none\n  totalBytes: none\n";
  config::RawSettings raw = GoodSettings();
  ASSERT_TRUE(config::ReadFile(path, &raw).ok());

  const config::Settings settings = config::Check(raw).value();

  EXPECT_EQ(settings.finished_jobs_age, absl::Hours(7 * 24));
  EXPECT_EQ(settings.logs_age, absl::Hours(36));
  EXPECT_EQ(settings.log_bytes_per_job, int64_t{512} << 20);
  EXPECT_EQ(settings.points_per_job, 1000);
  EXPECT_EQ(settings.requests_age, absl::InfiniteDuration());
  EXPECT_EQ(settings.total_bytes, 0);
}

TEST(SettingsTest, RetentionHasDefaultsAndRefusesWhatItCannotRead) {
  config::RawSettings raw = GoodSettings();
  EXPECT_EQ(config::Check(raw)->finished_jobs_age, absl::Hours(90 * 24));
  EXPECT_EQ(config::Check(raw)->points_per_job, 10'000'000);
  raw.finished_jobs_age = "-1d";
  raw.log_bytes_per_job = "1GB";
  raw.points_per_job = "many";
  raw.total_bytes = "99999999TiB";

  const std::string faults(config::Check(raw).status().message());

  EXPECT_EQ(std::count(faults.begin(), faults.end(), '\n'), 3) << faults;
  EXPECT_THAT(faults, HasSubstr("retention.logBytesPerJob: '1GB'"));
}

TEST(StorageRootTest, ATreeIsRemovedAndNothingThatALinkLeadsTo) {
  const testing::TemporaryDirectory directory;
  const testing::TemporaryDirectory outside;
  const auto root = storage::StorageRoot::Open(directory.path()).value();
  std::filesystem::create_directories(directory.path() + "/checkpoints/u1/e1");
  std::ofstream(directory.path() + "/checkpoints/u1/e1/file") << "x";
  std::ofstream(outside.path() + "/kept") << "x";
  std::filesystem::create_symlink(outside.path(), directory.path() + "/checkpoints/u1/link");

  EXPECT_TRUE(root.RemoveTree("checkpoints/u1").ok());

  EXPECT_FALSE(std::filesystem::exists(directory.path() + "/checkpoints/u1"));
  EXPECT_TRUE(std::filesystem::exists(outside.path() + "/kept"));
  EXPECT_TRUE(root.RemoveTree("checkpoints/u1").ok()) << "it is gone already";
  EXPECT_FALSE(root.RemoveTree("../x").ok());
}

}  // namespace
}  // namespace g2ll
