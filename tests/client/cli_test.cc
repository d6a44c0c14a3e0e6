#include "client/cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/job_files.h"
#include "client/cli/json_printer.h"
#include "proto/common/grpc_status.h"
#include "tests/client/cli_fixture.h"

namespace g2ll::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(CliTest, WrongUsageIsTwoAndHelpIsZero) {
  EXPECT_EQ(Run({}), kBadInput);
  EXPECT_EQ(Run({"get"}), kBadInput);
  EXPECT_EQ(Run({"get", "a", "-o", "xml"}), kBadInput);
  EXPECT_EQ(Run({"get", "Bad_Name"}), kBadInput);
  EXPECT_EQ(Run({"wait", "a", "--for", "DONE"}), kBadInput);
  EXPECT_EQ(Run({"wait", "a", "--timeout", "soon"}), kBadInput);
  EXPECT_EQ(Run({"--server", "no address", "list"}), kBadInput);
  EXPECT_EQ(Run({"logs", "a", "--tail", "1", "--from-seq", "2"}), kBadInput);
  EXPECT_EQ(Run({"--help"}), kDone);
  EXPECT_EQ(Run({"--version"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("1.2.3"));
}

TEST_F(CliTest, NamesTheNearestCommand) {
  EXPECT_EQ(Run({"submti", "-f", "x"}), kBadInput);
  EXPECT_THAT(err_.str(), HasSubstr("submti is no command; did you mean submit?"));
}

TEST_F(CliTest, OptionsOfTheProgramMayStandBehindTheCommand) {
  AddJob("a", v1::Job::RUNNING);

  EXPECT_EQ(Run({"get", "a", "-o", "json"}), kDone);
  const auto job = nlohmann::json::parse(out_.str());
  EXPECT_EQ(job["name"], "projects/default/jobs/a");
  EXPECT_EQ(job["state"], "RUNNING");
  EXPECT_EQ(job["progress"]["step"], 0);
  EXPECT_TRUE(job["endTime"].is_null());
  EXPECT_EQ(Run({"-o", "name", "get", "job/a"}), kDone);
  EXPECT_EQ(out_.str(), "projects/default/jobs/a\n");
}

TEST_F(CliTest, AMissingJobIsFive) {
  EXPECT_EQ(Run({"get", "nope"}), kNotFound);
  EXPECT_THAT(out_.str(), IsEmpty());
  EXPECT_EQ(err_.str(), "g2ll: projects/default/jobs/nope does not exist\n");
}

TEST_F(CliTest, ListPrintsOneArrayInOneOrMoreForms) {
  AddJob("a", v1::Job::RUNNING);
  AddJob("b", v1::Job::PENDING).mutable_state_reason()->set_code("WAITING\x1b[31m");

  EXPECT_EQ(Run({"list", "-o", "json"}), kDone);
  EXPECT_EQ(nlohmann::json::parse(out_.str()).size(), 2u);
  EXPECT_EQ(Run({"list"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("a\tPretrainJob\tRUNNING"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
}

TEST_F(CliTest, WaitEndsAsTheJobDid) {
  AddJob("good", v1::Job::SUCCEEDED);
  AddJob("bad", v1::Job::FAILED);
  AddJob("gone", v1::Job::CANCELLED);

  EXPECT_EQ(Run({"wait", "good"}), kDone);
  EXPECT_EQ(Run({"wait", "bad"}), kFailed);
  EXPECT_EQ(Run({"wait", "gone"}), kCancelled);
  EXPECT_EQ(Run({"wait", "bad", "--for", "failed"}), kDone);
  EXPECT_EQ(Run({"wait", "good", "--for", "failed"}), kFailed);
  EXPECT_EQ(Run({"wait", "good", "--for", "running"}), kDone);
  EXPECT_EQ(Run({"wait", "nope"}), kNotFound);
}

TEST_F(CliTest, WatchShowsPlainLinesWhereThereIsNoTerminal) {
  AddJob("bad", v1::Job::FAILED).mutable_state_reason()->set_message("loss is NaN");
  server_.num_points = 3;

  EXPECT_EQ(Run({"watch", "bad"}), kFailed);
  EXPECT_EQ(out_.str(), "bad: FAILED: loss is NaN\n");
  EXPECT_THAT(err_.str(), HasSubstr("g2ll logs bad"));
}

TEST_F(CliTest, MetricsAreOneObjectALine) {
  AddJob("a", v1::Job::SUCCEEDED);
  server_.num_points = 2;

  EXPECT_EQ(Run({"metrics", "a", "-f", "-o", "json"}), kDone);
  EXPECT_EQ(out_.str(),
            "{\"seq\":1,\"attempt\":0,\"step\":0,\"epoch\":0.0,\"name\":\"loss\",\"value\":1.0,"
            "\"time\":null,\"superseded\":false}\n"
            "{\"seq\":2,\"attempt\":0,\"step\":0,\"epoch\":0.0,\"name\":\"loss\",\"value\":0.5,"
            "\"time\":null,\"superseded\":false}\n");
}

TEST_F(CliTest, SubmitPrintsTheNameAndTellsHowToGoOn) {
  EXPECT_EQ(Submit(kJobFile), kDone);
  EXPECT_EQ(out_.str(), "projects/default/jobs/a\n");
  EXPECT_THAT(err_.str(), HasSubstr("g2ll watch a"));
  EXPECT_EQ(Submit(kJobFile, {"-o", "json"}), kDone);
  const auto job = nlohmann::json::parse(out_.str());
  EXPECT_EQ(job["uid"], "u-1");
  EXPECT_EQ(job["spec"]["pretrain"]["train"]["globalBatch"], 32);
}

TEST_F(CliTest, SubmitRefusesABadFileAsAWholeWithItsLines) {
  EXPECT_EQ(Submit(std::string(kJobFile) + "---\n" +
                   "apiVersion: g2ll/v1\nkind: PretrainJob\nmetadata: { name: b }\n"
                   "spec: { recipe: smoke, mask: { gamma: 1.5 } }\n"),
            kBadInput);
  EXPECT_THAT(err_.str(), HasSubstr("standard input:9: spec.mask.gamma: given 1.5, allowed: a "
                                    "number in [0, 1]"));
  EXPECT_THAT(server_.creates, IsEmpty());
}

TEST_F(CliTest, AFaultThatOnlyTheServerFindsHasItsLineToo) {
  server_.bad_field = "spec.recipe";

  EXPECT_EQ(Submit(kJobFile), kBadInput);
  EXPECT_EQ(err_.str(), "standard input:4: spec.recipe: is not liked\n");
}

TEST_F(CliTest, DryRunPrintsAFileThatCanBeSubmittedAndStoresNothing) {
  EXPECT_EQ(Submit(kJobFile, {"--dry-run", "--set", "spec.train.updates=7"}), kDone);
  EXPECT_THAT(server_.jobs, IsEmpty());
  const std::string full = out_.str();
  EXPECT_THAT(full, HasSubstr("updates: 7\n"));
  EXPECT_EQ(Submit(full), kDone);
  EXPECT_EQ(Submit(full, {"--dry-run", "-o", "json"}), kDone);
  EXPECT_FALSE(nlohmann::json::parse(out_.str())["defaults"].contains("spec.mask.beta"));
}

TEST_F(CliTest, DryRunTellsTheSourceOfEveryDefault) {
  EXPECT_EQ(Submit(kJobFile, {"--dry-run"}), kDone);
  EXPECT_THAT(out_.str(), ContainsRegex("\n    beta: 0.7 +# default: P 2.2 and 3.4\n"));
  EXPECT_THAT(out_.str(), HasSubstr("\n  recipe: smoke\n"));

  EXPECT_EQ(Submit(kJobFile, {"--dry-run", "-o", "json"}), kDone);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["defaults"]["spec.mask.beta"], "P 2.2 and 3.4");
  EXPECT_FALSE(json["defaults"].contains("spec.recipe"));
}

TEST_F(CliTest, ADocumentMayDependOnAnEarlierOne) {
  const std::string chain = std::string(kJobFile) +
                            "---\napiVersion: g2ll/v1\nkind: PretrainJob\nmetadata: { name: b }\n"
                            "spec: { recipe: smoke, dependsOn: [a] }\n";

  EXPECT_EQ(Submit(chain, {"--dry-run", "-o", "json"}), kDone);
  EXPECT_THAT(server_.jobs, IsEmpty());
  EXPECT_EQ(Submit(chain, {"--request-id", "r"}), kDone);
  EXPECT_EQ(server_.jobs.size(), 2u);
  EXPECT_EQ(server_.creates.back().request_id(), "r.2");
}

TEST_F(CliTest, AMissingOrHugeFileIsInvalidInput) {
  EXPECT_EQ(Run({"submit", "-f", "/nowhere/job.yaml"}), kBadInput);
  EXPECT_THAT(err_.str(), HasSubstr("/nowhere/job.yaml: no such file"));
  EXPECT_EQ(Submit(std::string(2 << 20, ' ')), kBadInput);
  EXPECT_THAT(err_.str(), HasSubstr("at most 1048576 bytes"));
  EXPECT_EQ(Run({"submit", "-f", "/"}), kBadInput);
}

TEST_F(CliTest, AServerThatIsNotThereIsFourAndSaysWhatToDo) {
  {
    const testing::FakeServer gone;
    env_.variables["G2LL_SERVER"] = gone.address();
  }
  EXPECT_EQ(Run({"list"}), kUnreachable);
  EXPECT_THAT(err_.str(), HasSubstr("nothing answers there; start one with `g2ll local up`"));
}

TEST_F(CliTest, TheServerIsTheOptionThenTheVariableThenTheDefault) {
  Context context(env_);
  EXPECT_EQ(context.ServerAddress(), server_.address());
  context.server_option = "h:1";
  EXPECT_EQ(context.ServerAddress(), "h:1");
  context.server_option.clear();
  env_.variables.erase("G2LL_SERVER");
  EXPECT_EQ(context.ServerAddress(), "127.0.0.1:7460");
}

TEST_F(CliTest, DataCommandsRunTheTrainersTools) {
  EXPECT_EQ(Run({"data", "check", "x"}), kRefused);
  EXPECT_THAT(err_.str(), HasSubstr("worker image"));
  env_.variables["G2LL_TRAINER"] = "/bin/sh";
  EXPECT_EQ(Run({"data", "check", "x", "-o", "json"}), 17);
  EXPECT_THAT(executed_, ElementsAre("/bin/sh", "tool", "data", "check", "x", "-o", "json"));
}

TEST(ExitCodeTest, EveryKindOfErrorHasItsCode) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::InternalError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::DataLossError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 4);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), 5);
  EXPECT_EQ(ExitCodeOf(absl::AlreadyExistsError("")), 6);
  EXPECT_EQ(ExitCodeOf(absl::FailedPreconditionError("")), 6);
  EXPECT_EQ(ExitCodeOf(absl::PermissionDeniedError("")), 6);
  EXPECT_EQ(ExitCodeOf(absl::ResourceExhaustedError("")), 6);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 7);
  EXPECT_EQ(ExitCodeOf(absl::CancelledError("")), 130);
  EXPECT_EQ(ExitCodeOf(net::WithReason(absl::FailedPreconditionError(""), "DATASET_NOT_FOUND")), 2);
  EXPECT_EQ(ExitCodeOf(net::WithReason(absl::FailedPreconditionError(""), "SOURCE_NOT_FOUND")), 5);
}

TEST(JsonTest, PrintsWhatScriptsRelyOn) {
  v1::Job job;
  job.set_name("n");
  job.set_state(v1::Job::CANCELLING);
  (*job.mutable_metrics())["b"] = std::nan("");
  (*job.mutable_metrics())["a"] = -INFINITY;
  job.mutable_progress()->set_step(int64_t{1} << 60);
  job.mutable_progress()->mutable_eta()->set_seconds(1);
  job.mutable_progress()->mutable_eta()->set_nanos(500000000);
  job.mutable_create_time()->set_seconds(1);
  job.add_attempts()->mutable_failure()->set_class_(v1::Failure::DATA);
  job.mutable_spec()->mutable_pretrain()->mutable_mask()->set_gamma(0);

  const auto json = ToJson(job);

  EXPECT_EQ(json["state"], "CANCELLING");
  EXPECT_EQ(json["metrics"]["b"], "NaN");
  EXPECT_EQ(json["metrics"]["a"], "-Infinity");
  EXPECT_EQ(json["progress"]["step"], int64_t{1} << 60);
  EXPECT_EQ(json["progress"]["eta"], "1.5s");
  EXPECT_EQ(json["createTime"], "1970-01-01T00:00:01Z");
  EXPECT_EQ(json["latestCheckpoint"], "");
  EXPECT_TRUE(json["bestMetric"].is_null());
  EXPECT_EQ(json["attempts"][0]["failure"]["class"], "DATA");
  EXPECT_EQ(json["attempts"][0]["failure"]["exitCode"], 0);
  // Inside the spec only what is set.
  EXPECT_EQ(json["spec"].dump(), "{\"pretrain\":{\"dependsOn\":[],\"mask\":{\"gamma\":0.0}}}");
}

TEST(JsonTest, TextIsHarmlessOnATerminal) {
  const std::string text = JsonText({{"k", "a\x1b[31m\x7f\xc2\x9b\xff"}}, -1);

  for (const char c : text) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << text;
}

TEST(JsonTest, YamlHoldsTheSameValues) {
  const nlohmann::ordered_json json = {{"a", 1},
                                       {"b", {{"c", "x: y"}, {"d", nullptr}}},
                                       {"e", {1, {{"f", "1"}, {"g", true}}}},
                                       {"h", nlohmann::ordered_json::array()}};

  EXPECT_EQ(YamlText(json),
            "a: 1\nb:\n  c: \"x: y\"\n  d: null\ne:\n  - 1\n  - f: \"1\"\n    g: true\nh: []\n");
}

TEST(JobFileTest, CompletesRelativePathsFromTheCurrentFolder) {
  const std::string text =
      "apiVersion: g2ll/v1\nkind: FinetuneJob\nmetadata: { name: a }\n"
      "spec: { data: { source: ./isic }, init: { from: 'file:../model' } }\n";

  const LoadedJobs loaded = LoadJobs("job.yaml", text, {}, "/home/me/work");

  ASSERT_THAT(loaded.faults, IsEmpty());
  EXPECT_EQ(loaded.jobs[0].spec.finetune().data().source(), "/home/me/work/isic");
  EXPECT_EQ(loaded.jobs[0].spec.finetune().init().from(), "file:/home/me/model");
}

TEST(JobFileTest, CompletesTheClassTableAndWhatIsExcluded) {
  const std::string text =
      "apiVersion: g2ll/v1\nkind: PretrainJob\nmetadata: { name: a }\n"
      "spec: { method: supervised, data: { source: /d, classFile: truth.csv,\n"
      "  excludeIds: [held, ids.txt, '../isic#test', /other] } }\n";

  const LoadedJobs loaded = LoadJobs("job.yaml", text, {}, "/home/me/work");

  ASSERT_THAT(loaded.faults, IsEmpty());
  const v1::DataSpec& data = loaded.jobs[0].spec.pretrain().data();
  EXPECT_EQ(data.class_file(), "/home/me/work/truth.csv");
  EXPECT_THAT(data.exclude_ids(),
              ElementsAre("held", "/home/me/work/ids.txt", "/home/me/isic#test", "/other"));
}

TEST(TableTest, IsAlignedOnATerminalAndHasTabsElsewhere) {
  Table table({"A", "B"});
  table.Add({"long", "x\x1b"});

  EXPECT_EQ(table.Text(true), "A     B\nlong  x\\x1b\n");
  EXPECT_EQ(table.Text(false), "A\tB\nlong\tx\\x1b\n");
}

}  // namespace
}  // namespace g2ll::cli
