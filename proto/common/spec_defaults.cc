#include "proto/common/spec_defaults.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "proto/common/spec_access.h"
#include "proto/common/spec_field.h"
#include "proto/common/spec_ranges.h"

namespace g2ll::spec {
namespace {

uint32_t ScopeOf(const v1::JobSpec& spec) {
  if (spec.has_finetune()) return kFinetune;
  if (spec.has_evaluate()) return kEvaluate;
  switch (spec.pretrain().method()) {
    case v1::PretrainSpec::MAE:
      return kMae;
    case v1::PretrainSpec::DINO:
      return kDino;
    case v1::PretrainSpec::SUPERVISED:
      return kSupervised;
    default:
      return kG2ll;
  }
}

const char* TextFor(const Default& row, v1::Recipe recipe) {
  switch (recipe) {
    case v1::PLUS:
      return row.plus;
    case v1::SMOKE:
      return row.smoke;
    default:
      return row.paper;
  }
}

// A list with one element too many or an unknown name here is our own mistake;
// the test of the table finds it.
void SetList(const FieldRef& target, std::string_view text) {
  while (!text.empty()) {
    const size_t blank = text.find(' ');
    SetFromText(target.message, target.field, text.substr(0, blank), ScalarStyle::kPlain);
    text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
  }
}

// A client that sends an enum's zero has not chosen either.
bool IsGiven(const FieldRef& target) {
  const auto* reflection = target.message->GetReflection();
  if (target.field->is_repeated()) {
    return reflection->FieldSize(*target.message, target.field) > 0;
  }
  if (!reflection->HasField(*target.message, target.field)) return false;
  return target.field->enum_type() == nullptr ||
         reflection->GetEnumValue(*target.message, target.field) != 0;
}

// A user who counts epochs means it, also where the recipe counts updates.
bool PreferGivenLength(v1::JobSpec* spec) {
  const v1::TrainSpec& given = Train(*spec);
  if (!given.has_epochs() || given.has_updates() || given.epochs() == 0) return false;
  if (spec->has_pretrain()) spec->mutable_pretrain()->mutable_train()->set_updates(0);
  if (spec->has_finetune()) spec->mutable_finetune()->mutable_train()->set_updates(0);
  return spec->has_pretrain() || spec->has_finetune();
}

// A user who asks for at least so many ranks gets no default below that number.
bool RaiseDefaultMax(v1::ResourceSpec::Ranks* ranks) {
  if (!ranks->has_min() || ranks->has_max() || ranks->min() <= 1) return false;
  ranks->set_max(ranks->min());
  return true;
}

bool PreferGivenRanks(v1::JobSpec* spec) {
  if (!Resources(*spec).has_ranks()) return false;
  if (spec->has_pretrain()) {
    return RaiseDefaultMax(spec->mutable_pretrain()->mutable_resources()->mutable_ranks());
  }
  return spec->has_finetune() &&
         RaiseDefaultMax(spec->mutable_finetune()->mutable_resources()->mutable_ranks());
}

v1::OptimSpec* GivenOptimizer(v1::JobSpec* spec) {
  if (spec->has_pretrain() && spec->pretrain().has_optim()) {
    return spec->mutable_pretrain()->mutable_optim();
  }
  if (spec->has_finetune() && spec->finetune().has_optim()) {
    return spec->mutable_finetune()->mutable_optim();
  }
  return nullptr;
}

// A user who gives one weight decay means it for the whole run.
bool PreferGivenDecay(v1::OptimSpec& optim) {
  if (!optim.has_weight_decay() || optim.has_weight_decay_end()) return false;
  // A bad value stays one fault, of the key that was given.
  const auto* field = optim.GetDescriptor()->FindFieldByName("weight_decay");
  if (RangeFault("optim.weightDecay", optim, field)) return false;
  optim.set_weight_decay_end(optim.weight_decay());
  return true;
}

// A user who counts the warm-up in epochs means it, also where the recipe has a share.
bool PreferGivenWarmup(v1::OptimSpec& optim) {
  if (!optim.has_warmup() || optim.has_warmup_share()) return false;
  optim.set_warmup_share(0);
  return true;
}

// `path` is the field `field` or a group around it. Asked for every value and every row,
// so the length of `field` is not looked for.
bool Holds(std::string_view path, const char* field) {
  return std::strncmp(field, path.data(), path.size()) == 0 &&
         (field[path.size()] == '\0' || field[path.size()] == '.');
}

// Fills `spec` in and notes where each default comes from.
void Fill(v1::JobSpec* spec, DefaultSources* sources) {
  google::protobuf::Message* kind = MutableKindMessage(spec);
  if (kind == nullptr) return;
  if (PreferGivenLength(spec)) sources->emplace("train.updates", "train.epochs is given");
  if (PreferGivenRanks(spec))
    sources->emplace("resources.ranks.max", "resources.ranks.min is given");
  if (v1::OptimSpec* optim = GivenOptimizer(spec); optim != nullptr) {
    if (PreferGivenDecay(*optim)) {
      sources->emplace("optim.weightDecayEnd", "optim.weightDecay is given");
    }
    if (PreferGivenWarmup(*optim)) {
      sources->emplace("optim.warmupShare", "optim.warmup is given");
    }
  }
  const v1::Recipe recipe = RecipeOf(*spec);
  const uint32_t scope = ScopeOf(*spec);
  for (const Default& row : Defaults()) {
    const char* text = TextFor(row, recipe);
    if ((row.scope & scope) == 0 || text == nullptr) continue;
    const FieldRef target = MutableField(kind, row.path);
    if (target.field == nullptr || IsGiven(target)) continue;
    sources->emplace(row.path, row.source);
    if (*text == '\0') continue;
    if (target.field->is_repeated()) {
      SetList(target, text);
    } else {
      SetFromText(target.message, target.field, text, ScalarStyle::kPlain);
    }
  }
}

}  // namespace

bool IsRead(const v1::JobSpec& spec, std::string_view path) {
  // Which jobs and models a job needs has no default.
  if (Holds(path, "dependsOn") || (spec.has_evaluate() && Holds(path, "model.from"))) return true;
  const uint32_t scope = ScopeOf(spec);
  return std::any_of(Defaults().begin(), Defaults().end(), [&](const Default& row) {
    return (row.scope & scope) != 0 && Holds(path, row.path);
  });
}

void ApplyDefaults(v1::JobSpec* spec) {
  DefaultSources ignored;
  Fill(spec, &ignored);
}

DefaultSources SourcesOfDefaults(v1::JobSpec given) {
  DefaultSources sources;
  Fill(&given, &sources);
  return sources;
}

}  // namespace g2ll::spec
