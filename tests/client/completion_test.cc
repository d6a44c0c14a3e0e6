// Completion in the program and in bash, and the command reference.
#include <gmock/gmock.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/completion.h"
#include "client/cli/exit_code.h"
#include "tests/client/cli_fixture.h"

namespace g2ll::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class CompletionTest : public CliTest {
 protected:
  std::vector<std::string> At(std::vector<std::string> words) {
    words.insert(words.begin(), {"__complete", "--"});
    EXPECT_EQ(Run(words), kDone);
    EXPECT_EQ(err_.str(), "");
    return absl::StrSplit(out_.str(), '\n', absl::SkipEmpty());
  }
};

// What a command of a shell prints.
std::string Output(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  for (size_t size; (size = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) text.append(buffer, size);
  EXPECT_EQ(pclose(pipe), 0) << command;
  return text;
}

TEST_F(CompletionTest, CommandsAndTheirSubcommands) {
  EXPECT_THAT(At({"des"}), ElementsAre("describe"));
  EXPECT_THAT(At({""}), Contains("submit"));
  EXPECT_THAT(At({""}), Not(Contains("__complete")));
  EXPECT_THAT(At({"queue", "d"}), UnorderedElementsAre("drain", "delete"));
  EXPECT_THAT(At({"-o", "json", "workers", "c"}), ElementsAre("cordon"));
  EXPECT_THAT(At({"admin", "info", ""}), IsEmpty());
}

TEST_F(CompletionTest, FlagsOfTheCommandAndOfTheProgram) {
  EXPECT_THAT(At({"metrics", "--fr"}), ElementsAre("--from-seq"));
  EXPECT_THAT(At({"metrics", "--"}), Contains("--server"));
  EXPECT_THAT(At({"get", "a", "--o"}), ElementsAre("--output"));
}

TEST_F(CompletionTest, ValuesThatAreOneOfAHandful) {
  EXPECT_THAT(At({"list", "-o", ""}), ElementsAre("table", "json", "yaml", "name"));
  EXPECT_THAT(At({"list", "--state", "PA"}), UnorderedElementsAre("PAUSING", "PAUSED"));
  EXPECT_THAT(At({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
}

TEST_F(CompletionTest, FilesAreLeftToTheShell) {
  EXPECT_THAT(At({"submit", "-f", "jo"}), ElementsAre(":files"));
  EXPECT_THAT(At({"segment", "x"}), ElementsAre(":files"));
}

TEST_F(CompletionTest, NamesComeFromTheServer) {
  AddJob("skin", v1::Job::RUNNING);
  AddJob("skin-ft", v1::Job::PENDING);
  AddJob("other", v1::Job::PENDING);
  server_.workers["w1"].set_name("w1");
  server_.workers["evil"].set_name("w\x1b[31m");
  server_.queues["q"].set_name("projects/default/queues/night");

  EXPECT_THAT(At({"get", "sk"}), UnorderedElementsAre("skin", "skin-ft"));
  EXPECT_THAT(At({"workers", "drain", ""}), ElementsAre("w1"));
  EXPECT_THAT(At({"queue", "hold", ""}), ElementsAre("night"));
  EXPECT_THAT(At({"update", "skin", "--queue", ""}), ElementsAre("night"));
  EXPECT_THAT(At({"checkpoints", "verify", "job/o"}), ElementsAre("job/other"));
  EXPECT_THAT(At({"get", "skin", ""}), IsEmpty());
}

TEST_F(CompletionTest, KeysOfJobFiles) {
  EXPECT_THAT(At({"explain", "PretrainJob.spec.mask.ga"}),
              ElementsAre("PretrainJob.spec.mask.gamma"));
}

TEST_F(CompletionTest, IsSilentWhereTheServerIsNotReached) {
  server_.Stop();

  EXPECT_THAT(At({"get", ""}), IsEmpty());
  server_.Start();
  server_.failures["ListJobs"] = {absl::PermissionDeniedError("no")};
  EXPECT_THAT(At({"get", ""}), IsEmpty());
}

TEST_F(CompletionTest, TheScriptWorksInBash) {
  AddJob("skin", v1::Job::RUNNING);
  EXPECT_EQ(Run({"completion", "bash"}), kDone);
  const TempDir dir;
  std::ofstream(dir / "g2ll.bash") << out_.str();
  const auto complete = [&](const std::string& words, int at) {
    return Output(absl::StrCat("G2LL_SERVER=", server_.address(), " bash -c 'source ",
                               dir / "g2ll.bash", "; COMP_WORDS=(", G2LL_PROGRAM, " ", words,
                               "); COMP_CWORD=", at, "; _g2ll; echo \"${COMPREPLY[*]}\"'"));
  };

  EXPECT_EQ(complete("des", 1), "describe\n");
  EXPECT_EQ(complete("get sk", 2), "skin\n");
  EXPECT_EQ(complete("queue \"\"", 2), "list hold drain resume create set delete\n");
}

TEST_F(CompletionTest, TheScriptsOfOtherShellsParseWhereTheyAreInstalled) {
  const TempDir dir;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_EQ(Run({"completion", shell}), kDone);
    const std::string file = dir / shell;
    std::ofstream(file) << out_.str();
    EXPECT_EQ(Output(absl::StrCat("command -v ", shell, " >/dev/null || exit 0; ", shell, " -n ",
                                  file, " 2>&1")),
              "");
  }
  EXPECT_EQ(Run({"completion", "csh"}), kBadInput);
}

// docs/cli.md is what the program says: `g2ll reference > docs/cli.md` renews it.
TEST_F(CompletionTest, TheCommandReferenceIsWhatTheHelpSays) {
  EXPECT_EQ(Run({"reference"}), kDone);
  EXPECT_EQ(out_.str(), ReadFile(G2LL_SOURCE_DIR "/docs/cli.md"));
}

}  // namespace
}  // namespace g2ll::cli
