#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cli/cli.h"
#include "client/cli/exit_code.h"
#include "tests/client/fake_server.h"

namespace g2ll::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Runs `g2ll compare` against a fake server and a trainer that only notes its call.
class CompareCommandTest : public ::testing::Test {
 protected:
  CompareCommandTest() {
    std::string name = ::testing::TempDir() + "compare-XXXXXX";
    folder_ = mkdtemp(name.data());
    fs::create_directory(folder_ / "report");
    std::ofstream(folder_ / "report" / "report.json") << "{}";
    server_.files = {{"report.json", "{\"a\": 1}"}, {"per_image.csv", "image\n"}};
    env_.in = &in_;
    env_.out = &out_;
    env_.err = &err_;
    env_.program_dir = "/nowhere";
    env_.variables["HOME"] = "/nowhere";
    env_.variables["G2LL_SERVER"] = server_.address();
    env_.variables["G2LL_TRAINER"] = "/bin/sh";
    env_.run = [this](const std::vector<std::string>& argv) {
      ran_ = argv;
      for (const size_t i : {size_t{3}, size_t{4}}) {
        std::ifstream file(argv[i] + "/report.json");
        read_.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
      }
      return 17;
    };
  }
  ~CompareCommandTest() override { fs::remove_all(folder_); }

  testing::FakeServer server_;
  Environment env_;
  std::istringstream in_;
  std::ostringstream out_, err_;
  fs::path folder_;
  std::vector<std::string> ran_;
  std::vector<std::string> read_;  // both reports while the trainer ran
};

TEST_F(CompareCommandTest, AReportOnDiskAndOneOfAJobReachTheTrainer) {
  const std::string report = (folder_ / "report").string();

  EXPECT_EQ(cli::Run({"compare", report, "skin-eval", "-o", "json"}, env_), 17);

  ASSERT_EQ(ran_.size(), 11u);
  const std::string fetched = ran_[4];
  EXPECT_THAT(ran_, ElementsAre("/bin/sh", "tool", "compare", report, fetched, "--name-a", report,
                                "--name-b", "skin-eval", "-o", "json"));
  EXPECT_THAT(read_, ElementsAre("{}", "{\"a\": 1}"));
  EXPECT_FALSE(fs::exists(fetched)) << "a fetched report stays behind";
}

TEST_F(CompareCommandTest, WithoutATrainerItIsRefused) {
  env_.variables.erase("G2LL_TRAINER");

  EXPECT_EQ(cli::Run({"compare", "a", "b"}, env_), kRefused);

  EXPECT_THAT(err_.str(), HasSubstr("worker image"));
}

TEST_F(CompareCommandTest, WrongUsageIsTwo) {
  EXPECT_EQ(cli::Run({"compare", "a"}, env_), kBadInput);
  EXPECT_EQ(cli::Run({"compare", "a", "b", "-o", "yaml"}, env_), kBadInput);
  EXPECT_EQ(cli::Run({"compare", "Bad Name", "b"}, env_), kBadInput);
}

}  // namespace
}  // namespace g2ll::cli
