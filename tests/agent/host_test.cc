// What the agent finds out about its host: settings, folders, its own HTTP pages.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "proto/common/address.h"
#include "worker/agent/address_file.h"
#include "worker/agent/http_server.h"
#include "worker/agent/settings.h"
#include "worker/agent/storage.h"

namespace g2ll::agent {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class HostTest : public testing::Test {
 protected:
  HostTest() {
    char folder[] = "/tmp/g2ll_host_test_XXXXXX";
    root_ = ::mkdtemp(folder);
  }
  ~HostTest() override { std::filesystem::remove_all(root_); }

  std::string Write(const std::string& name, const std::string& content) {
    std::ofstream(root_ + "/" + name) << content;
    return root_ + "/" + name;
  }

  AgentSettings GoodSettings() {
    AgentSettings settings;
    settings.device = "cpu";
    settings.work_dir = root_ + "/work";
    settings.storage_root = root_ + "/storage";
    settings.trainer = "/bin/true";
    return settings;
  }

  std::string root_;
};

TEST_F(HostTest, FillsWhatWasLeftOpen) {
  AgentSettings settings = GoodSettings();

  EXPECT_THAT(CompleteSettings(settings), IsEmpty());

  EXPECT_FALSE(settings.name.empty());
  EXPECT_EQ(settings.slots, 1);
  EXPECT_GE(settings.cpus, 1);
  EXPECT_EQ(settings.advertise_host, "127.0.0.1");
  EXPECT_TRUE(std::filesystem::is_directory(settings.storage_root));
}

TEST_F(HostTest, NamesEveryWrongSettingInOneLine) {
  AgentSettings settings = GoodSettings();
  settings.name = "Upper Case";
  settings.slots = -1;
  settings.coordinator = "nohost";
  settings.http_listen = "127.0.0.1:99999";
  settings.storage_root = "";
  settings.data_roots = {root_ + "/missing"};
  settings.trainer = root_ + "/g2ll-trainer";
  settings.log_format = "xml";

  const auto faults = CompleteSettings(settings);

  EXPECT_EQ(faults.size(), 8u);
  for (const char* flag : {"--name", "--slots", "--coordinator", "--http-listen", "--storage-root",
                           "--data-root", "--trainer", "--log-format"}) {
    EXPECT_THAT(faults, Contains(HasSubstr(flag)));
  }
}

TEST_F(HostTest, ReadsSettingsFromAFile) {
  const std::string path = Write("worker.yaml",
                                 "name: a-worker\nslots: 3\ndataRoots: [/data, /more]\n"
                                 "stopGraceSeconds: 1.5\n");
  AgentSettings settings;

  EXPECT_THAT(ReadSettingsFile(path, settings), IsEmpty());

  EXPECT_EQ(settings.name, "a-worker");
  EXPECT_EQ(settings.slots, 3);
  EXPECT_THAT(settings.data_roots, ElementsAre("/data", "/more"));
  EXPECT_EQ(settings.stop_grace, absl::Milliseconds(1500));
}

TEST_F(HostTest, FaultsOfAFileNameLineAndKey) {
  const std::string path = Write("worker.yaml", "name: a\nslots: many\nslotz: 3\n");
  AgentSettings settings;

  EXPECT_THAT(ReadSettingsFile(path, settings),
              ElementsAre(HasSubstr("worker.yaml:2: slots"),
                          HasSubstr("worker.yaml:3: unknown key \"slotz\"")));
  EXPECT_THAT(ReadSettingsFile(root_ + "/none", settings), ElementsAre(HasSubstr("--config")));
  EXPECT_THAT(ReadSettingsFile(Write("bad.yaml", "a: [1\n"), settings).size(), 1u);
}

TEST_F(HostTest, WorkerNameComesFromTheHost) {
  EXPECT_EQ(WorkerNameFromHost("Node_7.Lab"), "node-7.lab");
  EXPECT_EQ(WorkerNameFromHost(""), "worker");
  EXPECT_EQ(WorkerNameFromHost(std::string(100, 'a')).size(), 63u);
}

TEST_F(HostTest, DataMustLieBelowADataRootAfterLinksAreResolved) {
  std::filesystem::create_directories(root_ + "/data/isic");
  std::filesystem::create_directories(root_ + "/database");
  std::filesystem::create_directory_symlink(root_ + "/database", root_ + "/data/link");
  const std::vector<std::string> roots{root_ + "/data/"};

  EXPECT_TRUE(CheckDataSource("synthetic:dermoscopy", {}).ok());
  EXPECT_TRUE(CheckDataSource(root_ + "/data/isic", roots).ok());
  EXPECT_TRUE(CheckDataSource(root_ + "/data", roots).ok());
  EXPECT_TRUE(CheckDataSource(root_ + "/data/isic", {"/"}).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(CheckDataSource(root_ + "/database", roots)));
  EXPECT_TRUE(absl::IsPermissionDenied(CheckDataSource(root_ + "/data/link", roots)));
  EXPECT_TRUE(absl::IsPermissionDenied(CheckDataSource(root_ + "/data/isic", {})));
  EXPECT_TRUE(absl::IsNotFound(CheckDataSource(root_ + "/data/none", roots)));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckDataSource("data/isic", roots)));
}

TEST_F(HostTest, StorageTokenIsReadWithoutItsLineEnd) {
  Write(".g2ll-storage-token", "abc\n");

  EXPECT_EQ(*ReadStorageToken(root_), "abc");
  EXPECT_THAT(std::string(ReadStorageToken(root_ + "/none").status().message()),
              HasSubstr("--storage-root"));
}

TEST_F(HostTest, StorageWithoutRoomIsRefused) {
  EXPECT_TRUE(CheckStorageWritable(root_, 0).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(CheckStorageWritable(root_, int64_t{1} << 62)));
  EXPECT_TRUE(absl::IsNotFound(CheckStorageWritable(root_ + "/none", 0)));
}

TEST_F(HostTest, AddressFileIsOneJsonObject) {
  const std::string path = root_ + "/address.json";

  ASSERT_TRUE(WriteAddressFile(path, "w0", 12, "127.0.0.1:7462").ok());

  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, R"({"httpAddress":"127.0.0.1:7462","name":"w0","pid":12})");
  EXPECT_FALSE(WriteAddressFile(root_ + "/none/a", "w0", 12, "").ok());
}

TEST_F(HostTest, ServesMetricsAndHealth) {
  auto server = HttpServer::Bind("127.0.0.1:0", "1.2.3");
  ASSERT_TRUE(server.ok()) << server.status();
  Agent::Snapshot snapshot;
  snapshot.slots = 4;
  snapshot.telemetry.acked_items = 7;
  snapshot.lease_age = absl::Seconds(2);
  (*server)->Serve([&] { return snapshot; });
  httplib::Client client("127.0.0.1", net::ParseHostPort((*server)->address())->port);

  const auto metrics = client.Get("/metrics");
  const auto unready = client.Get("/readyz");
  snapshot.connected = true;
  const auto ready = client.Get("/readyz");
  const auto health = client.Get("/healthz");

  ASSERT_TRUE(metrics && unready && ready && health);
  EXPECT_THAT(metrics->body, HasSubstr("g2ll_worker_slots 4"));
  EXPECT_THAT(metrics->body, HasSubstr("# TYPE g2ll_worker_telemetry_items_acked_total counter"));
  EXPECT_THAT(metrics->body, HasSubstr("g2ll_worker_telemetry_items_acked_total 7"));
  EXPECT_THAT(metrics->body, HasSubstr("g2ll_worker_lease_age_seconds 2"));
  EXPECT_THAT(metrics->body, HasSubstr("g2ll_worker_build_info{version=\"1.2.3\"} 1"));
  EXPECT_EQ(unready->status, 503);
  EXPECT_EQ(ready->status, 200);
  EXPECT_EQ(health->status, 200);
}

TEST_F(HostTest, AddressInUseIsRefusedByName) {
  auto first = HttpServer::Bind("127.0.0.1:0", "1");
  ASSERT_TRUE(first.ok());

  const auto second = HttpServer::Bind((*first)->address(), "1");

  EXPECT_THAT(std::string(second.status().message()), HasSubstr((*first)->address()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--http-listen"));
}

}  // namespace
}  // namespace g2ll::agent
