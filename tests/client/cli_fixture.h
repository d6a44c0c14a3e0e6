#ifndef TESTS_CLIENT_CLI_FIXTURE_H_
#define TESTS_CLIENT_CLI_FIXTURE_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/cli.h"
#include "tests/client/fake_server.h"

namespace g2ll::cli {

inline constexpr char kJobFile[] =
    "apiVersion: g2ll/v1\nkind: PretrainJob\nmetadata: { name: a }\nspec: { recipe: smoke }\n";

// Runs command lines against a fake server.
class CliTest : public ::testing::Test {
 protected:
  CliTest() {
    env_.in = &in_;
    env_.out = &out_;
    env_.err = &err_;
    env_.version = "1.2.3";
    env_.program_dir = "/nowhere";
    env_.variables["HOME"] = "/nowhere";
    env_.variables["G2LL_SERVER"] = server_.address();
    env_.stop = stop_.get_token();
    env_.exec = [this](const std::vector<std::string>& argv) {
      executed_ = argv;
      return 17;
    };
  }

  int Run(const std::vector<std::string>& args) {
    out_.str("");
    err_.str("");
    return cli::Run(args, env_);
  }
  int Submit(const std::string& text, std::vector<std::string> more = {}) {
    in_.clear();
    in_.str(text);
    std::vector<std::string> args = {"submit", "-f", "-"};
    args.insert(args.end(), more.begin(), more.end());
    return Run(args);
  }
  v1::Job& AddJob(const std::string& name, v1::Job::State state) {
    v1::Job& job = server_.jobs["projects/default/jobs/" + name];
    job.set_name("projects/default/jobs/" + name);
    job.set_uid("uid-" + name);
    job.set_kind("PretrainJob");
    job.set_state(state);
    job.mutable_spec()->mutable_pretrain();
    return job;
  }
  nlohmann::json Json() const { return nlohmann::json::parse(out_.str()); }

  testing::FakeServer server_;
  Environment env_;
  std::stop_source stop_;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
  std::vector<std::string> executed_;
};

// A folder that goes with the test.
class TempDir {
 public:
  TempDir() {
    std::string pattern = ::testing::TempDir() + "/client-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

 private:
  std::filesystem::path path_;
};

inline std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace g2ll::cli

#endif  // TESTS_CLIENT_CLI_FIXTURE_H_
