#include "proto/common/spec_defaults.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <set>

#include "proto/common/spec_access.h"
#include "proto/common/spec_field.h"
#include "proto/common/spec_validation.h"

namespace g2ll::spec {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Key;

v1::JobSpec Filled(const char* kind, v1::Recipe recipe,
                   v1::PretrainSpec::Method method = v1::PretrainSpec::G2LL) {
  v1::JobSpec spec;
  EXPECT_TRUE(SetKind(kind, &spec));
  if (spec.has_pretrain()) {
    spec.mutable_pretrain()->set_recipe(recipe);
    spec.mutable_pretrain()->set_method(method);
  }
  if (spec.has_finetune()) spec.mutable_finetune()->set_recipe(recipe);
  if (spec.has_evaluate()) {
    spec.mutable_evaluate()->set_recipe(recipe);
    SetSource("job/a", &spec);
  }
  if (recipe != v1::SMOKE) MutableData(&spec)->set_source("/data");
  ApplyDefaults(&spec);
  return spec;
}

TEST(DefaultsTest, PaperIsThePapersPretraining) {
  const v1::PretrainSpec spec = Filled("PretrainJob", v1::PAPER).pretrain();

  EXPECT_EQ(spec.model().image_size(), 256);
  EXPECT_EQ(spec.model().dim(), 384);
  EXPECT_EQ(spec.model().head_out(), 65536);
  EXPECT_EQ(spec.train().epochs(), 300);
  EXPECT_EQ(spec.train().global_batch(), 128);
  EXPECT_DOUBLE_EQ(spec.mask().gamma(), 0.25);
  EXPECT_DOUBLE_EQ(spec.mask().beta(), 0.7);
  EXPECT_DOUBLE_EQ(spec.optim().lr(), 1.5e-4);
  EXPECT_DOUBLE_EQ(spec.optim().warmup(), 40);
  EXPECT_EQ(spec.distill().pairs(), v1::DistillSpec::SAME);
  EXPECT_EQ(spec.resources().ranks().max(), 4);
  EXPECT_EQ(spec.policy().checkpoint_every().seconds(), 300);
}

TEST(DefaultsTest, PaperIsThePapersFinetuning) {
  const v1::FinetuneSpec spec = Filled("FinetuneJob", v1::PAPER).finetune();

  EXPECT_EQ(spec.train().epochs(), 100);
  EXPECT_EQ(spec.train().global_batch(), 16);
  EXPECT_DOUBLE_EQ(spec.optim().lr(), 3e-4);
  EXPECT_THAT(spec.model().segmentation_channels(), ElementsAre(512, 256, 128, 64, 16));
  EXPECT_EQ(spec.seg().select(), v1::SegmentationSpec::LAST);
  EXPECT_EQ(spec.init().from(), "none");
}

TEST(DefaultsTest, SmokeIsSmallAndCountsUpdates) {
  const v1::PretrainSpec pretrain = Filled("PretrainJob", v1::SMOKE).pretrain();
  const v1::FinetuneSpec finetune = Filled("FinetuneJob", v1::SMOKE).finetune();
  const v1::EvaluateSpec evaluate = Filled("EvaluateJob", v1::SMOKE).evaluate();

  EXPECT_EQ(pretrain.model().image_size(), 64);
  EXPECT_EQ(pretrain.model().patch(), 8);
  EXPECT_EQ(pretrain.data().max_images(), 512);
  EXPECT_EQ(pretrain.train().epochs(), 0);
  EXPECT_GT(pretrain.train().updates(), 0);
  EXPECT_EQ(pretrain.train().precision(), v1::TrainSpec::FP32);
  EXPECT_EQ(pretrain.resources().ranks().max(), 2);
  EXPECT_THAT(finetune.model().segmentation_channels(), ElementsAre(128, 64, 32, 16));
  EXPECT_EQ(finetune.data().max_images(), 200);
  EXPECT_EQ(finetune.data().max_validation_images(), 100);
  EXPECT_EQ(evaluate.data().max_images(), 100);
  EXPECT_EQ(evaluate.data().split(), "test");
  EXPECT_EQ(evaluate.resources().ranks().max(), 1);
}

TEST(DefaultsTest, MethodsChangeMasksLossesAndViews) {
  const v1::PretrainSpec mae = Filled("PretrainJob", v1::PAPER, v1::PretrainSpec::MAE).pretrain();
  const v1::PretrainSpec dino = Filled("PretrainJob", v1::PAPER, v1::PretrainSpec::DINO).pretrain();

  EXPECT_DOUBLE_EQ(mae.mask().gamma(), 0.75);
  EXPECT_EQ(mae.mask().strategy(), v1::MaskSpec::RANDOM);
  EXPECT_DOUBLE_EQ(mae.distill().lambda(), 0);
  EXPECT_DOUBLE_EQ(mae.optim().clip(), 0);
  EXPECT_DOUBLE_EQ(dino.mask().gamma(), 0);
  EXPECT_DOUBLE_EQ(dino.mim().lambda(), 0);
  EXPECT_EQ(dino.distill().pairs(), v1::DistillSpec::CROSS);
}

TEST(DefaultsTest, WhatIsGivenStays) {
  v1::JobSpec spec;
  v1::PretrainSpec* pretrain = spec.mutable_pretrain();
  pretrain->set_recipe(v1::SMOKE);
  pretrain->mutable_train()->set_epochs(3);
  pretrain->mutable_optim()->set_lr(0);
  pretrain->mutable_resources()->mutable_ranks()->set_min(3);

  ApplyDefaults(&spec);

  EXPECT_EQ(pretrain->train().epochs(), 3);
  // Epochs that are given are not replaced by the recipe's updates.
  EXPECT_EQ(pretrain->train().updates(), 0);
  EXPECT_TRUE(pretrain->optim().has_lr());
  EXPECT_DOUBLE_EQ(pretrain->optim().lr(), 0);
  EXPECT_EQ(pretrain->resources().ranks().max(), 3);
}

TEST(DefaultsTest, OneWeightDecayIsMeantForTheWholeRun) {
  v1::JobSpec spec;
  spec.mutable_finetune()->mutable_optim()->set_weight_decay(0.1);

  ApplyDefaults(&spec);

  EXPECT_DOUBLE_EQ(spec.finetune().optim().weight_decay_end(), 0.1);
}

TEST(DefaultsTest, AWarmupInEpochsReplacesTheRecipesShare) {
  v1::JobSpec given, open;
  given.mutable_finetune()->set_recipe(v1::PLUS);
  given.mutable_finetune()->mutable_optim()->set_warmup(2);
  open.mutable_finetune()->set_recipe(v1::PLUS);

  ApplyDefaults(&given);
  ApplyDefaults(&open);

  EXPECT_DOUBLE_EQ(given.finetune().optim().warmup_share(), 0);
  EXPECT_DOUBLE_EQ(open.finetune().optim().warmup_share(), 0.05);
}

TEST(DefaultsTest, ASecondCallChangesNothing) {
  v1::JobSpec once = Filled("FinetuneJob", v1::PLUS);
  v1::JobSpec twice = once;

  ApplyDefaults(&twice);

  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(once, twice));
}

using Paths = std::set<std::string>;

// The fields below a message type; durations and lists are one each.
void AddFields(const google::protobuf::Descriptor* type, const std::string& prefix, Paths* paths) {
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* field = type->field(i);
    const std::string path = prefix + field->json_name();
    if (field->message_type() != nullptr && !IsDuration(field)) {
      AddFields(field->message_type(), path + ".", paths);
    } else {
      paths->insert(path);
    }
  }
}

// A kind of job, and what of its groups, which other kinds have too, it never reads.
struct KindCase {
  const char* name;
  const char* kind;
  v1::PretrainSpec::Method method;
  Paths unread;  // fields, and groups that end with a dot
};

class KindTest : public ::testing::TestWithParam<KindCase> {
 protected:
  static bool IsUnread(const std::string& path) {
    const Paths& unread = GetParam().unread;
    return unread.contains(path) || unread.contains(path.substr(0, path.find('.') + 1));
  }
};

// A field without a row is one that the job never reads, and it must be listed above.
TEST_P(KindTest, EveryFieldHasADefaultThatIsValid) {
  static const Paths kUnset = {"resources.memory", "policy.hangTimeout", "policy.maxRuntime",
                               "dependsOn", "data.classFile"};
  Paths fields;
  for (const v1::Recipe recipe : {v1::PAPER, v1::PLUS, v1::SMOKE}) {
    const v1::JobSpec spec = Filled(GetParam().kind, recipe, GetParam().method);
    Paths set;
    ForEachValue(*KindMessage(spec),
                 [&](const std::string& path, const auto&, const auto*) { set.insert(path); });
    AddFields(KindMessage(spec)->GetDescriptor(), "", &fields);

    for (const Violation& violation : Validate(spec)) {
      ADD_FAILURE() << recipe << " " << violation.field << " " << violation.Description();
    }
    for (const std::string& path : fields) {
      const bool is_open = kUnset.contains(path) || (recipe == v1::PLUS && path == "seg.encoder");
      EXPECT_EQ(IsRead(spec, path), !IsUnread(path)) << path;
      EXPECT_EQ(set.contains(path), !IsUnread(path) && !is_open) << recipe << " " << path;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, KindTest,
    ::testing::Values(KindCase{"Pretrain",
                               "PretrainJob",
                               v1::PretrainSpec::G2LL,
                               {"data.maxValidationImages", "train.validateEvery",
                                "model.segmentationChannels", "optim.layerDecay",
                                "aug.shiftScaleRotate", "aug.noise", "aug.cutmix", "supervised."}},
                      KindCase{"Supervised",
                               "PretrainJob",
                               v1::PretrainSpec::SUPERVISED,
                               {"data.maxValidationImages",
                                "model.segmentationChannels",
                                "model.headHidden",
                                "model.headBottleneck",
                                "model.headOut",
                                "model.decoderDepth",
                                "model.decoderDim",
                                "model.decoderHeads",
                                "optim.layerDecay",
                                "aug.shiftScaleRotate",
                                "aug.noise",
                                "aug.cutmix",
                                "aug.blurSecond",
                                "aug.solarize",
                                "mask.",
                                "slic.",
                                "mim.",
                                "distill.",
                                "ibot.",
                                "koleo."}},
                      KindCase{"Finetune",
                               "FinetuneJob",
                               v1::PretrainSpec::METHOD_UNSPECIFIED,
                               {"data.classFile", "model.headHidden", "model.headBottleneck",
                                "model.headOut", "model.decoderDepth", "model.decoderDim",
                                "model.decoderHeads", "aug.blurSecond", "aug.solarize"}},
                      KindCase{
                          "Evaluate",
                          "EvaluateJob",
                          v1::PretrainSpec::METHOD_UNSPECIFIED,
                          {"data.norm", "data.classFile", "data.maxValidationImages",
                           "train.epochs", "train.updates", "train.maxSteps", "train.precision",
                           "train.validateEvery", "train.accumulate", "train.dropLast"}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(DefaultsTest, MethodsAreValidInEveryRecipe) {
  for (const v1::Recipe recipe : {v1::PAPER, v1::PLUS, v1::SMOKE}) {
    for (const auto method :
         {v1::PretrainSpec::MAE, v1::PretrainSpec::DINO, v1::PretrainSpec::SUPERVISED}) {
      EXPECT_THAT(Validate(Filled("PretrainJob", recipe, method)), IsEmpty());
    }
  }
}

TEST(DefaultsTest, EveryDefaultTellsItsSourceAndNothingThatIsGivenDoes) {
  for (const char* kind : {"PretrainJob", "FinetuneJob", "EvaluateJob"}) {
    v1::JobSpec given;
    ASSERT_TRUE(SetKind(kind, &given));
    MutableData(&given)->set_source("/data");
    v1::JobSpec full = given;
    ApplyDefaults(&full);

    const DefaultSources sources = SourcesOfDefaults(given);

    EXPECT_FALSE(sources.contains("data.source"));
    ForEachValue(*KindMessage(full), [&](const std::string& path, const auto&, const auto*) {
      if (path == "data.source") return;
      ASSERT_TRUE(sources.contains(path)) << kind << " " << path;
      EXPECT_FALSE(sources.at(path).empty()) << kind << " " << path;
    });
    EXPECT_THAT(SourcesOfDefaults(full),
                Each(Key(AnyOf("resources.memory", "policy.hangTimeout", "policy.maxRuntime",
                               "dependsOn", "data.classFile"))));
  }
}

TEST(DefaultsTest, ADefaultThatFollowsFromWhatIsGivenSaysSo) {
  v1::JobSpec given;
  given.mutable_finetune()->set_recipe(v1::SMOKE);
  given.mutable_finetune()->mutable_train()->set_epochs(3);
  given.mutable_finetune()->mutable_resources()->mutable_ranks()->set_min(3);

  const DefaultSources sources = SourcesOfDefaults(given);

  EXPECT_EQ(sources.at("train.updates"), "train.epochs is given");
  EXPECT_EQ(sources.at("resources.ranks.max"), "resources.ranks.min is given");
}

}  // namespace
}  // namespace g2ll::spec
