#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "client/cli/exit_code.h"
#include "client/explain/comment_table.h"
#include "client/explain/spec_keys.h"
#include "tests/client/cli_fixture.h"

namespace g2ll::explain {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string MessageOf(std::string_view key) { return std::string(Explain(key).status().message()); }

TEST(ExplainTest, TellsMeaningUnitRangeDefaultsAndSource) {
  const Key key = Explain("PretrainJob.mask.gamma").value();

  EXPECT_EQ(key.key, "PretrainJob.spec.mask.gamma");
  EXPECT_EQ(key.type, "number");
  EXPECT_EQ(key.meaning, CommentOf("g2ll.v1.MaskSpec.gamma"));
  EXPECT_THAT(key.meaning, Not(IsEmpty()));
  EXPECT_EQ(key.unit, "share of the patches");
  EXPECT_EQ(key.allowed, "a number in [0, 1]");
  ASSERT_EQ(key.defaults.size(), 3u);
  EXPECT_THAT(key.defaults[0].methods, ElementsAre("g2ll"));
  EXPECT_EQ(key.defaults[0].paper, "0.25");
  EXPECT_EQ(key.defaults[0].source, "P 2.2 and 3.4");
  EXPECT_THAT(key.defaults[1].methods, ElementsAre("mae"));
  EXPECT_EQ(key.defaults[1].smoke, "0.75");
}

TEST(ExplainTest, EachRecipeHasItsDefault) {
  const Key key = Explain("finetune.spec.train.updates").value();

  ASSERT_EQ(key.defaults.size(), 1u);
  EXPECT_THAT(key.defaults[0].methods, IsEmpty());
  EXPECT_EQ(key.defaults[0].paper, "0");
  EXPECT_EQ(key.defaults[0].plus, "4000");
  EXPECT_EQ(key.defaults[0].smoke, "500");
  EXPECT_EQ(key.unit, "optimiser updates");
}

TEST(ExplainTest, AWordHasItsChoicesWithTheirMeanings) {
  const Key key = Explain("PretrainJob.policy.priority").value();

  EXPECT_EQ(key.allowed, "one of low, normal, high");
  ASSERT_EQ(key.choices.size(), 3u);
  EXPECT_EQ(key.choices[0], std::pair(std::string("low"), std::string("After all others.")));
}

TEST(ExplainTest, TheKindMayBeWrittenInSeveralWays) {
  for (const char* kind : {"PretrainJob", "pretrainjob", "pretrain", "PRETRAIN"}) {
    EXPECT_EQ(Explain(std::string(kind) + ".seed")->key, "PretrainJob.spec.seed");
  }
}

TEST(ExplainTest, AKindAloneListsItsKeysAndAGroupThoseInIt) {
  const Key kind = Explain("EvaluateJob").value();
  std::vector<std::string> keys;
  for (const KeyLine& line : kind.keys) keys.push_back(line.key);
  EXPECT_THAT(keys, Contains("EvaluateJob.metadata.name"));
  EXPECT_THAT(keys, Contains("EvaluateJob.spec.eval.tta"));
  EXPECT_THAT(keys, Contains("EvaluateJob.spec.model.from"));
  EXPECT_THAT(keys, Not(Contains(HasSubstr("mask"))));

  const Key group = Explain("PretrainJob.resources").value();
  EXPECT_EQ(group.type, "group");
  EXPECT_EQ(group.meaning, "What a job needs to run.");
  EXPECT_EQ(group.keys.front().key, "PretrainJob.spec.resources.ranks.min");
}

TEST(ExplainTest, AWrongKeyNamesTheNearestKnownOne) {
  EXPECT_EQ(MessageOf("PretrainJob.mask.gama"),
            "PretrainJob.spec.mask.gama is no key of a job file; did you mean "
            "PretrainJob.spec.mask.gamma?");
  // The right word in another group.
  EXPECT_THAT(MessageOf("PretrainJob.train.gamma"), HasSubstr("mean PretrainJob.spec.mask.gamma?"));
  EXPECT_THAT(MessageOf("PretrainJob.zzzzzzzzzzzzzz"), HasSubstr("g2ll explain PretrainJob lists"));
  EXPECT_THAT(MessageOf("PretranJob.seed"), HasSubstr("did you mean PretrainJob?"));
  EXPECT_THAT(MessageOf("Pod.spec"), HasSubstr("known are PretrainJob, FinetuneJob and"));
  EXPECT_THAT(MessageOf("PretrainJob.metadata.nam"), HasSubstr("did you mean metadata.name?"));
  EXPECT_FALSE(Explain("").ok());
}

TEST(ExplainTest, AKeyThatNoJobOfItsKindReadsIsToldSo) {
  EXPECT_THAT(MessageOf("PretrainJob.aug.noise"),
              HasSubstr("is read by no PretrainJob: a job file that sets it is refused"));
}

// A new key needs a comment, and a number needs a unit: this names what lacks them.
TEST(ExplainTest, EveryKeyHasAMeaningAndEveryNumberAUnit) {
  const std::vector<std::string> keys = AllKeys();
  EXPECT_GT(keys.size(), 150u);
  for (const std::string& name : keys) {
    const auto key = Explain(name);
    ASSERT_TRUE(key.ok()) << key.status();
    EXPECT_THAT(key->meaning, Not(IsEmpty())) << name;
    const bool is_number = key->type.find("number") != std::string::npos || key->type == "duration";
    if (is_number) EXPECT_THAT(key->unit, Not(IsEmpty())) << name;
    if (key->type != "group") EXPECT_THAT(key->allowed, Not(IsEmpty())) << name;
    for (const auto& [choice, meaning] : key->choices) {
      EXPECT_THAT(meaning, Not(IsEmpty())) << name << " " << choice;
    }
  }
}

}  // namespace
}  // namespace g2ll::explain

namespace g2ll::cli {
namespace {

using ::testing::HasSubstr;

TEST_F(CliTest, ExplainNeedsNoServer) {
  server_.Stop();

  EXPECT_EQ(Run({"explain", "PretrainJob.mask.gamma"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("Allowed:\ta number in [0, 1]\n"));
  EXPECT_THAT(out_.str(), HasSubstr("METHOD\tRECIPE PAPER\tPLUS\tSMOKE\tSOURCE\n"));
  EXPECT_EQ(Run({"explain", "PretrainJob.mask.gamma", "-o", "json"}), kDone);
  EXPECT_EQ(Json()["unit"], "share of the patches");
  EXPECT_EQ(Json()["defaults"][0]["paper"], "0.25");
  EXPECT_EQ(Run({"explain", "PretrainJob.mask.gama"}), kNotFound);
  EXPECT_THAT(err_.str(), HasSubstr("did you mean PretrainJob.spec.mask.gamma?"));
  EXPECT_EQ(Run({"explain", "FinetuneJob", "-o", "json"}), kDone);
  EXPECT_GT(Json()["keys"].size(), 50u);
  server_.Start();
}

}  // namespace
}  // namespace g2ll::cli
