// Every command against a server whose every text is one that a terminal would obey.
#include <gmock/gmock.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/cli.h"
#include "g2ll/v1/admin.grpc.pb.h"
#include "g2ll/v1/checkpoint.grpc.pb.h"
#include "g2ll/v1/job.grpc.pb.h"
#include "g2ll/v1/telemetry.grpc.pb.h"
#include "proto/common/grpc_status.h"
#include "proto/common/log.h"
#include "proto/common/yaml_tree.h"
#include "tests/hostile_text.h"

namespace g2ll::cli {
namespace {

// Answers everything with a message full of hostile texts, and cancels with a
// hostile refusal.
class HostileServer final : public v1::JobService::Service,
                            public v1::TelemetryService::Service,
                            public v1::CheckpointService::Service,
                            public v1::AdminService::Service {
 public:
  HostileServer() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(static_cast<v1::JobService::Service*>(this));
    builder.RegisterService(static_cast<v1::TelemetryService::Service*>(this));
    builder.RegisterService(static_cast<v1::CheckpointService::Service*>(this));
    builder.RegisterService(static_cast<v1::AdminService::Service*>(this));
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  ~HostileServer() override { server_->Shutdown(std::chrono::system_clock::now()); }

  const std::string& address() const { return address_; }

  grpc::Status CreateJob(grpc::ServerContext*, const v1::CreateJobRequest*,
                         v1::Job* response) override {
    return FillJob(response);
  }
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest*, v1::Job* response) override {
    return FillJob(response);
  }
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest*,
                        v1::ListJobsResponse* response) override {
    return FillJob(response->add_jobs());
  }
  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest*, v1::Job*) override {
    // Not by our own helpers, which would escape it.
    return {grpc::StatusCode::FAILED_PRECONDITION, testing::kHostileText};
  }
  grpc::Status WatchJob(grpc::ServerContext*, const v1::WatchJobRequest*,
                        grpc::ServerWriter<v1::Job>* writer) override {
    v1::Job job;
    FillJob(&job);
    writer->Write(job);
    return grpc::Status::OK;
  }
  grpc::Status StreamMetrics(grpc::ServerContext*, const v1::StreamMetricsRequest*,
                             grpc::ServerWriter<v1::StreamMetricsResponse>* writer) override {
    return SendOneAndEnd(writer);
  }
  grpc::Status StreamLogs(grpc::ServerContext*, const v1::StreamLogsRequest*,
                          grpc::ServerWriter<v1::StreamLogsResponse>* writer) override {
    return SendOneAndEnd(writer);
  }
  grpc::Status ListCheckpoints(grpc::ServerContext*, const v1::ListCheckpointsRequest*,
                               v1::ListCheckpointsResponse* response) override {
    testing::FillWith(testing::kHostileText, response->add_checkpoints());
    return grpc::Status::OK;
  }
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse* response) override {
    testing::FillWith(testing::kHostileText, response->add_workers());
    return grpc::Status::OK;
  }
  grpc::Status GetServerInfo(grpc::ServerContext*, const v1::GetServerInfoRequest*,
                             v1::ServerInfo* response) override {
    testing::FillWith(testing::kHostileText, response);
    return grpc::Status::OK;
  }

 private:
  static grpc::Status FillJob(v1::Job* job) {
    testing::FillWith(testing::kHostileText, job);
    job->set_state(v1::Job::FAILED);
    return grpc::Status::OK;
  }

  template <typename Response>
  static grpc::Status SendOneAndEnd(grpc::ServerWriter<Response>* writer) {
    Response batch;
    testing::FillWith(testing::kHostileText, batch.mutable_batch());
    writer->Write(batch);
    Response last;
    last.mutable_end()->set_state(testing::kHostileText);
    writer->Write(last);
    return grpc::Status::OK;
  }

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

class HostileTextTest : public ::testing::TestWithParam<std::vector<std::string>> {
 protected:
  HostileTextTest() {
    env_.in = &in_;
    env_.out = &out_;
    env_.err = &err_;
    env_.variables["HOME"] = "/nowhere";
    env_.variables["G2LL_SERVER"] = server_.address();
  }

  void Run(const std::string& format) {
    in_.clear();
    in_.str("apiVersion: g2ll/v1\nkind: PretrainJob\nmetadata: { name: a }\nspec: {}\n");
    out_.str("");
    err_.str("");
    std::vector<std::string> args = GetParam();
    args.insert(args.end(), {"-o", format});
    cli::Run(args, env_);
  }

  HostileServer server_;
  Environment env_;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
};

// Lines and, between columns, tabs are ours; all else must be printable.
std::string FindControl(const std::string& text) {
  for (const absl::string_view part : absl::StrSplit(text, absl::ByAnyChar("\n\t"))) {
    const std::string line(part);
    if (log::EscapeControl(line) != line) return log::EscapeControl(line);
    if (line.starts_with("ERROR forged")) return line;
  }
  return "";
}

TEST_P(HostileTextTest, ComesOutEscapedInEveryForm) {
  for (const char* format : {"table", "json", "yaml", "name"}) {
    Run(format);
    EXPECT_EQ(FindControl(out_.str()), "") << format;
    EXPECT_EQ(FindControl(err_.str()), "") << format;
    EXPECT_NE(out_.str() + err_.str(), "") << format;
  }
}

TEST_P(HostileTextTest, ComesOutEscapedOnATerminal) {
  env_.out_is_terminal = true;
  env_.err_is_terminal = true;
  Run("table");

  // Our own codes for colors and places are left; none of them is one of these.
  for (const std::string& shown : {out_.str(), err_.str()}) {
    EXPECT_EQ(shown.find("\x1b[2J\nERROR"), std::string::npos);
    EXPECT_EQ(shown.find('\x07'), std::string::npos);
    EXPECT_EQ(shown.find("\xc2\x9b"), std::string::npos);
  }
}

TEST_P(HostileTextTest, IsWhatWasSentWhereAProgramReadsIt) {
  Run("json");
  const std::string json = out_.str();
  for (const absl::string_view line : absl::StrSplit(json, '\n', absl::SkipEmpty())) {
    if (json.starts_with("{\"")) {
      EXPECT_TRUE(nlohmann::json::accept(std::string(line))) << line;
    }
  }
  if (!json.starts_with("{\"") && !json.empty()) {
    EXPECT_TRUE(nlohmann::json::accept(json)) << json;
  }
  Run("yaml");
  EXPECT_FALSE(spec::ParseYaml(out_.str()).error.has_value()) << out_.str();
}

INSTANTIATE_TEST_SUITE_P(
    Commands, HostileTextTest,
    ::testing::Values(
        std::vector<std::string>{"get", "a"}, std::vector<std::string>{"list"},
        std::vector<std::string>{"describe", "a"}, std::vector<std::string>{"why", "a"},
        std::vector<std::string>{"watch", "a"}, std::vector<std::string>{"wait", "a"},
        std::vector<std::string>{"cancel", "a"}, std::vector<std::string>{"metrics", "a"},
        std::vector<std::string>{"metrics", "a", "-f"}, std::vector<std::string>{"logs", "a"},
        std::vector<std::string>{"logs", "a", "-f"},
        std::vector<std::string>{"checkpoints", "list", "a"},
        std::vector<std::string>{"workers", "list"}, std::vector<std::string>{"version"},
        std::vector<std::string>{"submit", "-f", "-"},
        std::vector<std::string>{"submit", "-f", "-", "--dry-run"}),
    [](const auto& command) {
      std::string name;
      for (const std::string& word : command.param) {
        for (const char c : word) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
      }
      return name;
    });

}  // namespace
}  // namespace g2ll::cli
