#include "proto/common/spec_validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/spec_field.h"

namespace g2ll::spec {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// One change of a valid spec and what it must be refused with.
struct Case {
  const char* name;
  const char* kind;
  std::vector<std::pair<const char*, const char*>> changes;
  const char* field;    // of the one violation
  const char* allowed;  // part of its text
};

v1::JobSpec ValidSpec(const char* kind) {
  v1::JobSpec spec;
  EXPECT_TRUE(SetKind(kind, &spec));
  MutableData(&spec)->set_source("/data");
  if (spec.has_evaluate()) SetSource("job/a", &spec);
  return spec;
}

void SetText(v1::JobSpec* spec, const char* path, const char* text) {
  const FieldRef target = MutableField(MutableKindMessage(spec), path);
  ASSERT_NE(target.field, nullptr) << path;
  ASSERT_TRUE(SetFromText(target.message, target.field, text, ScalarStyle::kPlain)) << path;
}

class RuleTest : public ::testing::TestWithParam<Case> {};

TEST_P(RuleTest, IsTheOneViolation) {
  v1::JobSpec spec = ValidSpec(GetParam().kind);
  for (const auto& [path, text] : GetParam().changes) SetText(&spec, path, text);
  ApplyDefaults(&spec);

  const std::vector<Violation> violations = Validate(spec);

  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, GetParam().field);
  EXPECT_THAT(violations[0].allowed, HasSubstr(GetParam().allowed));
}

constexpr char kP[] = "PretrainJob";
constexpr char kF[] = "FinetuneJob";
constexpr char kE[] = "EvaluateJob";

INSTANTIATE_TEST_SUITE_P(
    All, RuleTest,
    ::testing::Values(
        Case{"Gamma", kP, {{"mask.gamma", "1.5"}}, "spec.mask.gamma", "in [0, 1]"},
        Case{"Beta", kP, {{"mask.beta", "-0.1"}}, "spec.mask.beta", "in [0, 1]"},
        Case{"NothingMasked", kP, {{"mask.gamma", "0"}}, "spec.mask.gamma", "one patch"},
        Case{"NothingMaskedForPatches",
             kP,
             {{"method", "dino"},
              {"ibot.lambda", "1"},
              {"ibot.source", "encoder"},
              {"mask.studentInput", "mask_token_all"}},
             "spec.mask.gamma",
             "ibot.lambda is above 0: one patch"},
        Case{"Regions", kP, {{"mask.regions", "257"}}, "spec.mask.regions", "at most 256"},
        Case{"ImageSize",
             kP,
             {{"model.imageSize", "250"}},
             "spec.model.imageSize",
             "the nearest are 240 and 256"},
        Case{"ImageSmallerThanAPatch",
             kP,
             {{"model.imageSize", "8"}},
             "spec.model.imageSize",
             "the smallest is 16"},
        Case{"Dim", kP, {{"model.dim", "100"}}, "spec.model.dim", "model.heads 6"},
        Case{"DecoderDim",
             kP,
             {{"model.decoderDim", "50"}},
             "spec.model.decoderDim",
             "model.decoderHeads 6"},
        Case{"Temperature", kP, {{"distill.studentTemp", "0"}}, "spec.distill.studentTemp", "(0,"},
        Case{"MaeDistils",
             kP,
             {{"method", "mae"}, {"distill.lambda", "1"}},
             "spec.distill.lambda",
             "method mae"},
        Case{"DinoReconstructs",
             kP,
             {{"method", "dino"}, {"mim.lambda", "1"}, {"mask.gamma", "0.5"}},
             "spec.mim.lambda",
             "method dino"},
        Case{"NoLoss",
             kP,
             {{"mim.lambda", "0"}, {"distill.lambda", "0"}},
             "spec.mim.lambda",
             "one loss"},
        Case{"NoLength", kP, {{"train.epochs", "0"}}, "spec.train.epochs", "at least 1"},
        Case{"Batch",
             kP,
             {{"train.globalBatch", "7"},
              {"resources.ranks.min", "2"},
              {"resources.ranks.max", "4"}},
             "spec.train.globalBatch",
             "6 or 8"},
        Case{"RanksOrder",
             kP,
             {{"resources.ranks.min", "5"}, {"resources.ranks.max", "4"}},
             "spec.resources.ranks.max",
             "at least resources.ranks.min"},
        Case{"Memory", kP, {{"resources.memory", "8GB"}}, "spec.resources.memory", "8Gi"},
        Case{"RelativeSource",
             kP,
             {{"data.source", "data/isic"}},
             "spec.data.source",
             "an absolute folder"},
        Case{"BadGenerator",
             kP,
             {{"data.source", "synthetic:dermoscopy?count=0"}},
             "spec.data.source",
             "synthetic:dermoscopy"},
        Case{"Split", kP, {{"data.split", "valid"}}, "spec.data.split", "validation"},
        Case{"TopK", kP, {{"mask.topK", "0"}}, "spec.mask.topK", "[1, 4096]"},
        Case{"CurriculumWithoutRegions",
             kP,
             {{"mask.strategy", "random"}, {"mask.curriculum", "intra_to_inter"}},
             "spec.mask.curriculum",
             "needs regions"},
        Case{"SharedAttention",
             kP,
             {{"mask.strategy", "attmask"}, {"mask.shared", "true"}},
             "spec.mask.shared",
             "its own attention"},
        Case{"TopKOfFewerRegions",
             kP,
             {{"mask.central", "top_k"}, {"mask.topK", "9"}},
             "spec.mask.topK",
             "mask.regions, which is 8"},
        Case{"AttentionWithoutTeacher",
             kP,
             {{"method", "mae"}, {"mask.strategy", "attmask"}},
             "spec.mask.strategy",
             "attention is the teacher's"},
        Case{"PatchesWithoutTeacher",
             kP,
             {{"distill.lambda", "0"}, {"ibot.lambda", "1"}},
             "spec.ibot.lambda",
             "same head and teacher"},
        Case{"PatchesOfAnEncoderThatSeesNone",
             kP,
             {{"ibot.lambda", "1"}, {"ibot.source", "encoder"}},
             "spec.ibot.source",
             "mask_token_all"},
        Case{"PatchesOfADecoderOfAnotherWidth",
             kP,
             {{"ibot.lambda", "1"}, {"model.decoderDim", "192"}},
             "spec.model.decoderDim",
             "model.dim, which is 384"},
        Case{"MaskOfAClassifier",
             kP,
             {{"method", "supervised"}, {"mask.gamma", "0.5"}},
             "spec.mask.gamma",
             "no effect in a PretrainJob of method supervised"},
        Case{"ValidationOfAMethodWithoutOne",
             kP,
             {{"train.validateEvery", "5"}},
             "spec.train.validateEvery",
             "nothing, it has no effect in a PretrainJob of method g2ll; leave it out"},
        Case{"NoiseOfAPretraining", kP, {{"aug.noise", "0.5"}}, "spec.aug.noise", "no effect"},
        Case{"ListThatIsNotRead",
             kP,
             {{"model.segmentationChannels", "8"}},
             "spec.model.segmentationChannels",
             "no effect"},
        Case{"ClassesOfAFinetuning",
             kF,
             {{"data.classFile", "truth.csv"}},
             "spec.data.classFile",
             "no effect in a FinetuneJob"},
        Case{"PrecisionOfAnEvaluation",
             kE,
             {{"train.precision", "bf16"}},
             "spec.train.precision",
             "no effect in an EvaluateJob"},
        Case{"LengthOfAnEvaluation",
             kE,
             {{"train.epochs", "3"}},
             "spec.train.epochs",
             "no effect in an EvaluateJob"},
        Case{"Smoothing",
             kP,
             {{"method", "supervised"}, {"supervised.labelSmoothing", "1"}},
             "spec.supervised.labelSmoothing",
             "[0, 1)"},
        Case{"RelativeClassFile",
             kP,
             {{"method", "supervised"}, {"data.classFile", "truth.csv"}},
             "spec.data.classFile",
             "absolute"},
        Case{"ExcludedIds", kP, {{"data.excludeIds", "ids.txt"}}, "spec.data.excludeIds", "held"},
        Case{"LayerDecay", kF, {{"optim.layerDecay", "0"}}, "spec.optim.layerDecay", "(0, 1]"},
        Case{"WeightAverage", kF, {{"seg.ema", "1"}}, "spec.seg.ema", "[0, 1)"},
        Case{"Hue", kP, {{"aug.hue", "0.6"}}, "spec.aug.hue", "[0, 0.5]"},
        Case{"Accumulate", kP, {{"train.accumulate", "0"}}, "spec.train.accumulate", "[1, "},
        Case{"Fraction", kF, {{"data.fraction", "0"}}, "spec.data.fraction", "(0, 1]"},
        Case{"MinLr", kF, {{"optim.minLr", "1"}}, "spec.optim.minLr", "at most optim.lr"},
        Case{"Betas", kF, {{"optim.betas", "0.5"}}, "spec.optim.betas", "two numbers"},
        Case{"Channels",
             kF,
             {{"model.segmentationChannels", "8"}},
             "spec.model.segmentationChannels",
             "5 numbers"},
        Case{"PatchPower",
             kF,
             {{"model.patch", "12"}, {"model.imageSize", "240"}},
             "spec.model.patch",
             "power of two"},
        Case{"UnetFromAnEncoder",
             kF,
             {{"seg.decoder", "unet"}, {"init.from", "job/pre"}},
             "spec.init.from",
             "none with seg.decoder unet"},
        Case{"UnetFrozen",
             kF,
             {{"seg.decoder", "unet"}, {"seg.freezeEncoder", "true"}},
             "spec.seg.freezeEncoder",
             "no encoder"},
        Case{"AccumulateWithBatchNorm",
             kF,
             {{"train.accumulate", "2"}},
             "spec.train.accumulate",
             "group_norm"},
        Case{"AccumulateWithDiceOverTheBatch",
             kF,
             {{"train.accumulate", "2"}, {"seg.norm", "group_norm"}, {"seg.diceOver", "batch"}},
             "spec.train.accumulate",
             "seg.diceOver"},
        Case{"From", kF, {{"init.from", "skin-g2ll"}}, "spec.init.from", "job/NAME"},
        Case{"RelativeFile", kF, {{"init.from", "file:a/b"}}, "spec.init.from", "ABSOLUTE"},
        Case{"EvaluateNeedsAModel", kE, {{"model.from", "none"}}, "spec.model.from", "job/NAME"},
        Case{"EvaluateIsOneRank",
             kE,
             {{"resources.ranks.max", "2"}},
             "spec.resources.ranks.max",
             "1, because"},
        Case{"Depends", kE, {{"dependsOn", "Bad_Name"}}, "spec.dependsOn", "a-z"},
        Case{"Checkpoints",
             kE,
             {{"policy.checkpointEvery", "0s"}},
             "spec.policy.checkpointEvery",
             "above 0"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ValidateTest, RefusesNumbersThatAreNotFinite) {
  for (const double value : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    v1::JobSpec spec = ValidSpec(kP);
    spec.mutable_pretrain()->mutable_optim()->set_weight_decay(value);
    ApplyDefaults(&spec);

    const auto violations = Validate(spec);

    ASSERT_EQ(violations.size(), 1u);
    EXPECT_EQ(violations[0].field, "spec.optim.weightDecay");
  }
}

// Only a machine that has the folders can tell a name with a `#` from a split that is not one.
TEST(ValidateTest, FoldersOfExcludedIdsMayHaveASignOfNumber) {
  for (const char* entry : {"/data/isic#2017", "/data/isic#2017#test", "/data/isic#tests"}) {
    v1::JobSpec spec = ValidSpec(kP);
    SetText(&spec, "data.excludeIds", entry);
    ApplyDefaults(&spec);
    EXPECT_TRUE(Validate(spec).empty()) << entry;
  }
}

TEST(ValidateTest, ReportsAllViolations) {
  v1::JobSpec spec = ValidSpec(kP);
  SetText(&spec, "mask.gamma", "2");
  SetText(&spec, "optim.lr", "-1");
  SetText(&spec, "data.source", "x");
  ApplyDefaults(&spec);

  std::vector<std::string> fields;
  for (const Violation& violation : Validate(spec)) fields.push_back(violation.field);

  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("spec.mask.gamma", "spec.optim.lr",
                                                      "spec.data.source"));
}

TEST(ValidateTest, RefusesASpecWithoutKindAndUnknownEnums) {
  EXPECT_EQ(Validate(v1::JobSpec()).size(), 1u);
  v1::JobSpec spec = ValidSpec(kP);
  spec.mutable_pretrain()->mutable_mask()->set_strategy(static_cast<v1::MaskSpec::Strategy>(17));
  ApplyDefaults(&spec);

  const auto violations = Validate(spec);

  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].given, "17");
}

TEST(ValidateTest, TheShortPaperJobOfTheExportIsValid) {
  v1::JobSpec spec = ValidSpec(kP);
  SetText(&spec, "train.globalBatch", "2");
  SetText(&spec, "train.maxSteps", "2");
  ApplyDefaults(&spec);

  EXPECT_THAT(Validate(spec), IsEmpty());
}

TEST(NameTest, IsLowerCaseWithInnerHyphens) {
  EXPECT_TRUE(IsValidName("skin-g2ll"));
  EXPECT_TRUE(IsValidName(std::string(63, 'a')));
  for (const std::string& bad : {std::string(), std::string("-a"), std::string("a-"),
                                 std::string("A"), std::string("a.b"), std::string(64, 'a')}) {
    EXPECT_FALSE(IsValidName(bad)) << bad;
  }
}

TEST(ViolationTest, ALongValueIsCutBetweenCharacters) {
  const Violation violation{"labels", std::string(199, 'k') + "\xe2\x82\xac", "less"};

  EXPECT_EQ(violation.Description(), "given " + std::string(199, 'k') + "..., allowed: less");
}

TEST(LabelTest, KeysAndValuesAreShortWords) {
  EXPECT_THAT(ValidateLabels({{"study", "Table_1.a"}, {"empty", ""}}), IsEmpty());
  EXPECT_EQ(ValidateLabels({{"a b", "c"}, {"d", "e\x1b"}}).size(), 2u);
}

TEST(QuantityTest, HasBinaryAndDecimalUnits) {
  EXPECT_EQ(ParseQuantity("8Gi"), int64_t{8} << 30);
  EXPECT_EQ(ParseQuantity("1.5k"), 1500);
  EXPECT_EQ(ParseQuantity("1000"), 1000);
  for (const char* bad : {"", "Gi", "8GB", "-1", "0", "1e400", "nan", "9999999Pi"}) {
    EXPECT_FALSE(ParseQuantity(bad).has_value()) << bad;
  }
}

TEST(SourceTest, IsTakenApart) {
  EXPECT_EQ(ParseSource("job/a").kind, Source::Kind::kJob);
  EXPECT_EQ(ParseSource("job/a").value, "a");
  EXPECT_EQ(ParseSource("checkpoint/a-1-2").value, "a-1-2");
  EXPECT_EQ(ParseSource("file:/x/y").value, "/x/y");
  EXPECT_EQ(ParseSource("none").kind, Source::Kind::kNone);
  EXPECT_EQ(ParseSource("job/").kind, Source::Kind::kMalformed);
  EXPECT_EQ(ParseSource("a").kind, Source::Kind::kMalformed);
}

TEST(NearestWordTest, FindsSlipsAndNothingElse) {
  EXPECT_EQ(NearestWord("gama", {"gamma", "beta"}), "gamma");
  EXPECT_EQ(NearestWord("globalbatch", {"globalBatch", "epochs"}), "globalBatch");
  EXPECT_EQ(NearestWord("xyzzy", {"gamma", "beta"}), "");
}

}  // namespace
}  // namespace g2ll::spec
