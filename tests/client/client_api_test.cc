#include "client/api/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "client/api/file_receiver.h"
#include "client/api/safetensors_merge.h"
#include "proto/common/grpc_status.h"
#include "tests/client/fake_server.h"

namespace g2ll::client {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

ClientOptions Quick() {
  ClientOptions options;
  options.first_backoff = absl::Milliseconds(1);
  options.max_backoff = absl::Milliseconds(2);
  return options;
}

class TempDir {
 public:
  TempDir() {
    std::string pattern = ::testing::TempDir() + "/client-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_))
      names.push_back(entry.path().filename());
    return names;
  }

 private:
  fs::path path_;
};

std::string ReadFile(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// A safetensors file with one tensor of bytes.
std::string Safetensors(const std::string& name, const std::string& data) {
  std::string header = "{\"" + name + "\":{\"dtype\":\"U8\",\"shape\":[" +
                       std::to_string(data.size()) + "],\"data_offsets\":[0," +
                       std::to_string(data.size()) + "]}}";
  std::string size(8, '\0');
  size[0] = static_cast<char>(header.size());
  return size + header + data;
}

TEST(ClientStreamTest, ASeenPointComesNeverAgainAndNoneIsLeftOutWhenTheStreamBreaks) {
  testing::FakeServer server;
  server.num_points = 20;
  server.drop_after = 6;
  server.repeat = 3;
  Client client(server.address(), Quick());
  v1::StreamMetricsRequest request;
  request.set_follow(true);

  std::vector<int64_t> seen;
  const auto end = client.StreamMetrics(
      request, [&](const v1::MetricPoint& point) { seen.push_back(point.seq()); }, nullptr);

  ASSERT_TRUE(end.ok()) << end.status();
  std::vector<int64_t> all(20);
  std::iota(all.begin(), all.end(), 1);
  EXPECT_EQ(seen, all);
  EXPECT_EQ(end->last_seq(), 20);
  EXPECT_EQ(server.stream_starts[1], 7);
}

TEST(ClientStreamTest, TellsOnceForEachLossOfTheConnection) {
  testing::FakeServer server;
  server.num_points = 10;
  server.drop_after = 4;
  Client client(server.address(), Quick());
  int num_told = 0;
  StreamControl control;
  control.on_lost = [&](const absl::Status&) { ++num_told; };

  const auto end = client.StreamMetrics(
      {}, [](const v1::MetricPoint&) {}, nullptr, control);

  ASSERT_TRUE(end.ok());
  EXPECT_EQ(num_told, 2);
}

TEST(ClientStreamTest, EndsWithCancelledWhenAskedToStop) {
  testing::FakeServer server;
  server.num_points = 10;
  server.drop_after = 1;
  Client client(server.address(), Quick());
  std::stop_source stop;
  StreamControl control;
  control.stop = stop.get_token();

  const auto end = client.StreamMetrics(
      {},
      [&](const v1::MetricPoint& point) {
        if (point.seq() == 3) stop.request_stop();
      },
      nullptr, control);

  EXPECT_TRUE(absl::IsCancelled(end.status())) << end.status();
}

TEST(ClientCallTest, RetriesOnlyWhenTheServerWasNotReached) {
  testing::FakeServer server;
  server.unavailable_creates = 2;
  Client client(server.address(), Quick());
  v1::CreateJobRequest request;
  request.set_parent("projects/default");
  request.set_job_id("a");
  request.mutable_job()->mutable_spec()->mutable_pretrain();

  const auto job = client.CreateJob(request);
  const auto missing = client.GetJob("projects/default/jobs/b");

  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_THAT(server.creates, SizeIs(3));
  // The same id each time, so the server cannot make two jobs of it.
  EXPECT_THAT(server.creates[0].request_id(), SizeIs(36));
  EXPECT_EQ(server.creates[2].request_id(), server.creates[0].request_id());
  EXPECT_TRUE(absl::IsNotFound(missing.status()));
  EXPECT_EQ(net::ReasonOf(missing.status()), "JOB_NOT_FOUND");
}

TEST(ClientCallTest, ListsAllPages) {
  testing::FakeServer server;
  for (const char* name : {"a", "b", "c"}) server.jobs[name].set_name(name);
  Client client(server.address(), Quick());

  const auto jobs = client.ListJobs({});

  ASSERT_TRUE(jobs.ok());
  EXPECT_THAT(*jobs, SizeIs(3));
}

TEST(ClientCallTest, AServerThatIsNotThereIsUnavailable) {
  std::string address;
  {
    const testing::FakeServer server;
    address = server.address();
  }
  Client client(address, Quick());

  EXPECT_TRUE(absl::IsUnavailable(client.GetJob("projects/default/jobs/a").status()));
}

TEST(ExportTest, JoinsEncoderAndDecoderIntoOneModel) {
  testing::FakeServer server;
  server.files = {{"encoder.safetensors", Safetensors("cls_token", "abcd")},
                  {"segmentation.safetensors", Safetensors("seg.head", "efg")},
                  {"export_config.json", "{}"}};
  Client client(server.address(), Quick());
  const TempDir dir;

  const absl::Status status =
      client.ExportCheckpoint("c", v1::StreamExportRequest::SEGMENTER, dir / "out");

  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(fs::exists(dir / "out" / "config.json"));
  EXPECT_FALSE(fs::exists(dir / "out" / "encoder.safetensors"));
  const std::string model = ReadFile(dir / "out" / "model.safetensors");
  const size_t header_size = static_cast<unsigned char>(model[0]);
  const auto header = nlohmann::json::parse(model.substr(8, header_size));
  EXPECT_EQ(header["seg.head"]["data_offsets"], nlohmann::json::array({4, 7}));
  EXPECT_EQ(model.substr(8 + header_size), "abcdefg");
  EXPECT_THAT(dir.Names(), ElementsAre("out"));
}

TEST(ExportTest, WritesNothingWhenADigestDiffers) {
  testing::FakeServer server;
  server.files = {{"model.safetensors", Safetensors("a", "abcd")}, {"config.json", "{}"}};
  server.damaged = true;
  Client client(server.address(), Quick());
  const TempDir dir;

  const absl::Status status =
      client.ExportCheckpoint("c", v1::StreamExportRequest::ENCODER, dir / "out");

  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(dir.Names(), IsEmpty());
}

TEST(ReportTest, KeepsOtherFilesOfTheFolderAndMakesSubfolders) {
  testing::FakeServer server;
  server.files = {{"report.html", "<html>"}, {"overlays/a.png", ""}};
  Client client(server.address(), Quick());
  const TempDir dir;
  fs::create_directory(dir / "out");
  std::ofstream(dir / "out" / "mine.txt") << "mine";

  const absl::Status status = client.DownloadReport("projects/default/jobs/a", dir / "out");

  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(ReadFile(dir / "out" / "mine.txt"), "mine");
  EXPECT_EQ(ReadFile(dir / "out" / "report.html"), "<html>");
  EXPECT_TRUE(fs::exists(dir / "out" / "overlays" / "a.png"));
}

TEST(ReportTest, RefusesPathsThatLeaveTheFolder) {
  testing::FakeServer server;
  server.files = {{"../evil", "x"}};
  Client client(server.address(), Quick());
  const TempDir dir;

  EXPECT_TRUE(absl::IsDataLoss(client.DownloadReport("a", dir / "out")));
  EXPECT_THAT(dir.Names(), IsEmpty());
}

TEST(ReportTest, AFileInTheWayIsAFaultOfThisSide) {
  testing::FakeServer server;
  server.files = {{"report.html", "x"}};
  Client client(server.address(), Quick());
  const TempDir dir;
  std::ofstream(dir / "out") << "a file";

  const absl::Status status = client.DownloadReport("a", dir / "out");

  EXPECT_EQ(net::ReasonOf(status), "LOCAL_WRITE_FAILED");
  EXPECT_THAT(std::string(status.message()), HasSubstr("it is a file"));
}

TEST(PathTest, OnlyPlainRelativePathsAreSafe) {
  EXPECT_TRUE(IsSafeRelativePath("overlays/a.png"));
  for (const std::string& bad :
       {std::string(), std::string("/a"), std::string("a/../b"), std::string("a//b"),
        std::string("."), std::string("a\\b"), std::string("a\nb"), std::string("a\0b", 3),
        std::string(2000, 'a')}) {
    EXPECT_FALSE(IsSafeRelativePath(bad)) << bad;
  }
}

TEST(SafetensorsMergeTest, RefusesWhatIsNoSafetensorsFile) {
  const TempDir dir;
  const std::string good = Safetensors("a", "abcd");
  std::string too_long = good;
  too_long[6] = 1;
  const std::vector<std::string> bad = {"", "short", too_long, good.substr(0, good.size() - 1),
                                        std::string("\x02\0\0\0\0\0\0\0[]", 10)};
  for (const std::string& bytes : bad) {
    std::ofstream(dir / "x", std::ios::binary | std::ios::trunc) << bytes;
    EXPECT_TRUE(absl::IsDataLoss(MergeSafetensors({dir / "x"}, dir / "out")));
  }
}

TEST(SafetensorsMergeTest, RefusesANameThatComesTwice) {
  const TempDir dir;
  std::ofstream(dir / "x", std::ios::binary) << Safetensors("a", "abcd");

  EXPECT_THAT(std::string(MergeSafetensors({dir / "x", dir / "x"}, dir / "out").message()),
              HasSubstr("repeats a"));
}

TEST(UuidTest, IsRandomAndOfVersionFour) {
  EXPECT_NE(RandomUuid(), RandomUuid());
  EXPECT_THAT(RandomUuid(),
              ::testing::MatchesRegex("[0-9a-f]+-[0-9a-f]+-4[0-9a-f]+-[89ab][0-9a-f]+-[0-9a-f]+"));
}

}  // namespace
}  // namespace g2ll::client
