#include "proto/common/spec_yaml.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/spec_field.h"

namespace g2ll::spec {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kJob[] = R"(apiVersion: g2ll/v1
kind: PretrainJob
metadata: { name: skin-g2ll, project: default, labels: { study: table1, year: 2017 } }
spec:
  recipe: paper
  method: g2ll
  seed: 7
  data: { source: /data/ISIC_2019, split: train }
  mask: { strategy: semantic_focal, gamma: 0.25, beta: 0.7, regions: 8 }
  train: { epochs: 300, globalBatch: 128, precision: auto }
  resources: { ranks: { min: 1, max: 4 }, device: auto, cpusPerRank: 2, memory: 8Gi }
  policy: { priority: normal, maxRetries: 0, checkpointEvery: 1h30m, hangTimeout: auto }
  optim: { betas: [0.9, 0.95] }
  dependsOn: [other-job]
)";

std::vector<std::string> Texts(const JobFile& file) {
  std::vector<std::string> texts;
  for (const Fault& fault : file.faults) texts.push_back(fault.ToString("job.yaml"));
  return texts;
}

std::string WithSpec(const std::string& spec_lines, const std::string& kind = "PretrainJob") {
  return "apiVersion: g2ll/v1\nkind: " + kind + "\nmetadata: { name: a }\nspec:\n" + spec_lines;
}

TEST(JobFileTest, MapsEveryKindOfValue) {
  const JobFile file = ParseJobFile(kJob);

  ASSERT_THAT(Texts(file), IsEmpty());
  ASSERT_THAT(file.jobs, SizeIs(1));
  const JobDocument& job = file.jobs[0];
  const v1::PretrainSpec& spec = job.spec.pretrain();
  EXPECT_EQ(job.name, "skin-g2ll");
  EXPECT_EQ(job.labels.at("year"), "2017");
  EXPECT_EQ(spec.seed(), 7);
  EXPECT_EQ(spec.mask().strategy(), v1::MaskSpec::SEMANTIC_FOCAL);
  EXPECT_DOUBLE_EQ(spec.mask().gamma(), 0.25);
  EXPECT_EQ(spec.resources().ranks().max(), 4);
  EXPECT_EQ(spec.resources().memory(), "8Gi");
  EXPECT_EQ(spec.policy().checkpoint_every().seconds(), 5400);
  EXPECT_FALSE(spec.policy().has_hang_timeout());
  EXPECT_THAT(spec.optim().betas(), ElementsAre(0.9, 0.95));
  EXPECT_THAT(spec.depends_on(), ElementsAre("other-job"));
  EXPECT_EQ(job.LineOf("spec.mask.gamma"), 9);
}

TEST(JobFileTest, TellsTheLineOfTheNearestGroupForAKeyThatTheFileHasNot) {
  const JobFile file = ParseJobFile(kJob);

  EXPECT_EQ(file.jobs[0].LineOf("spec.mask.rho"), 9);
  EXPECT_EQ(file.jobs[0].LineOf("spec.distill.lambda"), 4);
  EXPECT_EQ(file.jobs[0].LineOf("elsewhere"), 1);
}

TEST(JobFileTest, NamesLineKeyAndNearestKnownKeyOfEachUnknownKey) {
  const JobFile file = ParseJobFile(WithSpec("  seed: 1\n  mask:\n    gama: 0.5\n  gamma: 0.3\n"));

  EXPECT_THAT(Texts(file),
              ElementsAre(AllOf(HasSubstr("job.yaml:7: spec.mask.gama: given an unknown key"),
                                HasSubstr("did you mean gamma?")),
                          AllOf(HasSubstr("job.yaml:8: spec.gamma"),
                                HasSubstr("did you mean spec.mask.gamma?"))));
}

TEST(JobFileTest, NamesWhatWasGivenAndWhatIsAllowedForEachWrongType) {
  const JobFile file =
      ParseJobFile(WithSpec("  seed: soon\n"
                            "  recipe: papper\n"
                            "  train: { epochs: 1.5, globalBatch: \"8\" }\n"
                            "  policy: { preemptible: maybe, checkpointEvery: 5 }\n"
                            "  mask: 3\n"
                            "  dependsOn: a\n"
                            "  optim: { lr: .nan }\n"
                            "  mim: { lambda: 1e999 }\n"
                            "  method:\n"));

  EXPECT_THAT(
      Texts(file),
      ElementsAre(
          HasSubstr("job.yaml:5: spec.seed: given soon, allowed: a whole number"),
          AllOf(HasSubstr(
                    "job.yaml:6: spec.recipe: given papper, allowed: one of paper, plus, smoke"),
                HasSubstr("did you mean paper?")),
          HasSubstr("job.yaml:7: spec.train.epochs: given 1.5, allowed: a whole number"),
          HasSubstr("job.yaml:7: spec.train.globalBatch: given the text \"8\""),
          HasSubstr("job.yaml:8: spec.policy.preemptible: given maybe, allowed: true or false"),
          HasSubstr("job.yaml:8: spec.policy.checkpointEvery: given 5, allowed: a duration"),
          HasSubstr("job.yaml:9: spec.mask: given 3, allowed: the keys strategy"),
          HasSubstr("job.yaml:10: spec.dependsOn: given a, allowed: a list"),
          HasSubstr("job.yaml:11: spec.optim.lr: given .nan, allowed: a finite number"),
          HasSubstr("job.yaml:12: spec.mim.lambda: given 1e999, allowed: a finite number"),
          HasSubstr("job.yaml:13: spec.method: given nothing, allowed: one of g2ll, mae, dino")));
}

TEST(JobFileTest, RefusesAKeyThatComesTwice) {
  const JobFile file = ParseJobFile(WithSpec("  seed: 1\n  seed: 2\n"));

  EXPECT_THAT(Texts(file), ElementsAre(HasSubstr("job.yaml:6: spec.seed: given the key again")));
}

TEST(JobFileTest, NamesMissingAndWrongHeadKeys) {
  const JobFile file =
      ParseJobFile("apiVersion: v1\nkind: PretrainJobs\nmetadata: { name: A_b }\nspec: {}\n");

  EXPECT_THAT(Texts(file),
              ElementsAre(HasSubstr("job.yaml:1: apiVersion: given v1, allowed: g2ll/v1"),
                          AllOf(HasSubstr("job.yaml:2: kind"), HasSubstr("mean PretrainJob?")),
                          HasSubstr("job.yaml:3: metadata.name: given A_b")));
}

TEST(JobFileTest, ReadsSeveralDocumentsAndRefusesANameThatComesTwice) {
  const std::string one = WithSpec("  seed: 1\n");

  EXPECT_THAT(ParseJobFile("---\n" + one + "---\n").jobs, SizeIs(1));
  EXPECT_THAT(
      Texts(ParseJobFile(one + "---\n" + one)),
      ElementsAre(HasSubstr("job.yaml:9: metadata.name: given a, allowed: a name of its own")));
  EXPECT_THAT(Texts(ParseJobFile("# nothing\n")), ElementsAre(HasSubstr("no job")));
}

TEST(JobFileTest, OverridesGoToEveryKindThatHasTheKey) {
  const std::string text = WithSpec("  train: { epochs: 300 }\n  mask: { gamma: 0.5 }\n") +
                           "---\napiVersion: g2ll/v1\nkind: FinetuneJob\nmetadata: { name: b }\n"
                           "spec: { recipe: smoke }\n";

  const JobFile file = ParseJobFile(
      text, {{"spec.train.epochs", "3"}, {"spec.mask.beta", "0.1"}, {"metadata.labels.k", "v"}});

  ASSERT_THAT(Texts(file), IsEmpty());
  EXPECT_EQ(file.jobs[0].spec.pretrain().train().epochs(), 3);
  EXPECT_DOUBLE_EQ(file.jobs[0].spec.pretrain().mask().gamma(), 0.5);
  EXPECT_DOUBLE_EQ(file.jobs[0].spec.pretrain().mask().beta(), 0.1);
  EXPECT_EQ(file.jobs[1].spec.finetune().train().epochs(), 3);
  EXPECT_EQ(file.jobs[1].labels.at("k"), "v");
}

TEST(JobFileTest, BadOverridesAreFaults) {
  const JobFile file = ParseJobFile(
      WithSpec("  seed: 1\n"),
      {{"train.epochs", "3"}, {"spec.train.epoch", "3"}, {"spec.seed", "[1"}, {"spec.seed", "x"}});

  EXPECT_THAT(Texts(file),
              ElementsAre(HasSubstr("--set train.epochs: given this path"),
                          HasSubstr("--set spec.seed: given [1, allowed: a YAML value"),
                          HasSubstr("--set spec.seed: given x"),
                          AllOf(HasSubstr("--set spec.train.epoch: given an unknown"),
                                HasSubstr("did you mean epochs?"))));
}

TEST(JobFileTest, WritesWhatItReadsBack) {
  for (const char* kind : {"PretrainJob", "FinetuneJob", "EvaluateJob"}) {
    v1::JobSpec spec;
    ASSERT_TRUE(SetKind(kind, &spec));
    MutableData(&spec)->set_source("/data/a \"folder\": #1");
    SetSource("job/other", &spec);
    ApplyDefaults(&spec);

    const std::string text = FormatJobFile("a-1", "p", {{"k", "1.0"}, {"empty", ""}}, spec);
    const JobFile file = ParseJobFile(text);

    ASSERT_THAT(Texts(file), IsEmpty()) << text;
    EXPECT_EQ(file.jobs[0].project, "p");
    EXPECT_EQ(file.jobs[0].labels.at("k"), "1.0");
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(file.jobs[0].spec, spec))
        << text;
  }
}

// A chain has other data for each of its jobs.
TEST(JobFileTest, AnOverrideWithAKindGoesToThatKindOnly) {
  const std::string text = WithSpec("  seed: 1\n") +
                           "---\napiVersion: g2ll/v1\nkind: FinetuneJob\nmetadata: { name: b }\n"
                           "spec: { recipe: smoke }\n";

  const JobFile file = ParseJobFile(text, {{"pretrain.data.source", "/a"},
                                           {"finetune.data.source", "/b"},
                                           {"evaluate.data.source", "/c"}});

  ASSERT_THAT(Texts(file), IsEmpty());
  EXPECT_EQ(file.jobs[0].spec.pretrain().data().source(), "/a");
  EXPECT_EQ(file.jobs[1].spec.finetune().data().source(), "/b");
  EXPECT_THAT(Texts(ParseJobFile(text, {{"finetune.mask.gamma", "0.5"}})),
              ElementsAre(HasSubstr("--set spec.mask: given an unknown key")));
}

// `spec.train.precision` is a key of every kind, and an evaluation does not read it.
TEST(JobFileTest, AnOverrideGoesToTheJobsThatReadIt) {
  const std::string text = WithSpec("  recipe: smoke\n") +
                           "---\napiVersion: g2ll/v1\nkind: PretrainJob\nmetadata: { name: b }\n"
                           "spec: { recipe: smoke, method: supervised }\n"
                           "---\napiVersion: g2ll/v1\nkind: EvaluateJob\nmetadata: { name: c }\n"
                           "spec: { recipe: smoke, model: { from: job/a } }\n";

  const JobFile file =
      ParseJobFile(text, {{"spec.train.precision", "fp32"}, {"spec.train.validateEvery", "5"}});

  ASSERT_THAT(Texts(file), IsEmpty());
  EXPECT_EQ(file.jobs[0].spec.pretrain().train().precision(), v1::TrainSpec::FP32);
  EXPECT_FALSE(file.jobs[0].spec.pretrain().train().has_validate_every());
  EXPECT_EQ(file.jobs[1].spec.pretrain().train().validate_every(), 5);
  EXPECT_FALSE(file.jobs[2].spec.evaluate().has_train());
}

TEST(JobFileTest, WritesWhereDefaultsComeFromAndReadsTheFileBack) {
  v1::JobSpec given;
  given.mutable_pretrain()->mutable_data()->set_source("/data/a");
  given.mutable_pretrain()->mutable_mask()->set_gamma(0.5);
  v1::JobSpec spec = given;
  ApplyDefaults(&spec);

  const std::string text = FormatJobFile("a", "p", {}, spec, SourcesOfDefaults(given));

  EXPECT_THAT(text, ContainsRegex("\n    gamma: 0.5\n    beta: 0.7 +# default: P 2.2 and 3.4\n"));
  EXPECT_THAT(text, ContainsRegex("\n    # hangTimeout is not set +# default: unset: automatic"));
  const JobFile file = ParseJobFile(text);
  ASSERT_THAT(Texts(file), IsEmpty()) << text;
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(file.jobs[0].spec, spec)) << text;
}

// Bombs: each is refused with one fault, within a second and within the bounds
// of the tree, whatever it would expand to.
class BombTest : public ::testing::TestWithParam<std::pair<const char*, std::string>> {};

std::string Repeat(const std::string& text, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) result += text;
  return result;
}

std::string BillionLaughs() {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last +
            Repeat("," + last, 9) + "]\n";
  }
  return text;
}

TEST_P(BombTest, IsRefused) {
  const YamlDocuments result = ParseYaml(GetParam().second);

  ASSERT_TRUE(result.error.has_value());
  EXPECT_THAT(ParseJobFile(GetParam().second).faults, SizeIs(1));
}

INSTANTIATE_TEST_SUITE_P(
    All, BombTest,
    ::testing::Values(std::pair("BillionLaughs", BillionLaughs()),
                      std::pair("LongTextAlias",
                                "a: &a \"" + std::string(900000, 'x') + "\"\nb: [*a,*a,*a,*a,*a]"),
                      std::pair("DeepFlow", std::string(900000, '[')),
                      std::pair("DeepMaps", Repeat("{a: ", 200000)),
                      std::pair("DeepBlock", Repeat("- ", 300000) + "x"),
                      std::pair("ManyValues", "a: [" + Repeat("1,", 400000) + "1]"),
                      std::pair("SelfAlias", std::string("a: &a [*a]")),
                      std::pair("TooLong", std::string(kMaxYamlBytes + 1, ' ')),
                      std::pair("Nul", std::string("a: b\0c", 6)),
                      std::pair("Escape", std::string("a: \x1b[31m")),
                      std::pair("NotUtf8", std::string("a: \xff\xfe")),
                      std::pair("Tag", std::string("a: !!python/object:os.system x")),
                      std::pair("MapAsKey", std::string("{a: b}: c")),
                      std::pair("ManyDocuments", Repeat("--- a\n", 101))),
    [](const auto& info) { return std::string(info.param.first); });

TEST(YamlTreeTest, NamesTheLineOfANulByte) {
  const YamlDocuments result = ParseYaml(std::string("a: 1\nb: 2\nc: \0", 14));

  ASSERT_TRUE(result.error.has_value());
  EXPECT_EQ(result.error->line, 3);
}

TEST(YamlTreeTest, ReadsSmallAliasesAndCoreTags) {
  const YamlDocuments result = ParseYaml("a: &x [1, \"2\"]\nb: *x\nc: !!str 3\n");

  ASSERT_FALSE(result.error.has_value());
  const YamlNode& root = result.documents.at(0);
  EXPECT_EQ(root.children.at(1).children.at(0).text, "1");
  EXPECT_TRUE(root.children.at(1).children.at(0).plain);
  EXPECT_FALSE(root.children.at(1).children.at(1).plain);
  EXPECT_FALSE(root.children.at(2).plain);
}

TEST(YamlTreeTest, QuotesTextsThatYamlWouldReadAsSomethingElse) {
  EXPECT_EQ(YamlString("/data/ISIC_2017"), "/data/ISIC_2017");
  EXPECT_EQ(YamlString("true"), "\"true\"");
  EXPECT_EQ(YamlString("1.5"), "\"1.5\"");
  EXPECT_EQ(YamlString(""), "\"\"");
  EXPECT_EQ(YamlString("a: b\n\x1b"), "\"a: b\\n\\x1b\"");
  EXPECT_EQ(YamlString("\xc2\x9b\xc2\xa0"), "\"\\x9b\xc2\xa0\"");
  // A terminal takes U+009B for an escape.
  EXPECT_EQ(YamlString("a\xc2\x9b\xc3\xa4"), "\"a\\x9b\xc3\xa4\"");
}

}  // namespace
}  // namespace g2ll::spec
