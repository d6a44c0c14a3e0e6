#include "proto/common/spec_access.h"

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace g2ll::spec {
namespace {

// A group of settings that every kind may have under the same name.
template <typename Group>
const Group& GroupOf(const v1::JobSpec& spec, const char* name) {
  const google::protobuf::Message* kind = KindMessage(spec);
  const auto* field = kind ? kind->GetDescriptor()->FindFieldByName(name) : nullptr;
  if (field == nullptr || field->message_type() != Group::descriptor()) {
    return Group::default_instance();
  }
  return static_cast<const Group&>(kind->GetReflection()->GetMessage(*kind, field));
}

bool Consume(std::string_view prefix, std::string_view* text) {
  if (text->substr(0, prefix.size()) != prefix) return false;
  text->remove_prefix(prefix.size());
  return true;
}

}  // namespace

std::string_view KindName(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kPretrain:
      return "PretrainJob";
    case v1::JobSpec::kFinetune:
      return "FinetuneJob";
    case v1::JobSpec::kEvaluate:
      return "EvaluateJob";
    case v1::JobSpec::KIND_NOT_SET:
      return "";
  }
  return "";
}

bool SetKind(std::string_view kind, v1::JobSpec* spec) {
  if (kind == "PretrainJob") {
    *spec->mutable_pretrain() = {};
  } else if (kind == "FinetuneJob") {
    *spec->mutable_finetune() = {};
  } else if (kind == "EvaluateJob") {
    *spec->mutable_evaluate() = {};
  } else {
    return false;
  }
  return true;
}

const google::protobuf::Message* KindMessage(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kPretrain:
      return &spec.pretrain();
    case v1::JobSpec::kFinetune:
      return &spec.finetune();
    case v1::JobSpec::kEvaluate:
      return &spec.evaluate();
    case v1::JobSpec::KIND_NOT_SET:
      return nullptr;
  }
  return nullptr;
}

google::protobuf::Message* MutableKindMessage(v1::JobSpec* spec) {
  switch (spec->kind_case()) {
    case v1::JobSpec::kPretrain:
      return spec->mutable_pretrain();
    case v1::JobSpec::kFinetune:
      return spec->mutable_finetune();
    case v1::JobSpec::kEvaluate:
      return spec->mutable_evaluate();
    case v1::JobSpec::KIND_NOT_SET:
      return nullptr;
  }
  return nullptr;
}

const v1::DataSpec& Data(const v1::JobSpec& spec) { return GroupOf<v1::DataSpec>(spec, "data"); }

const v1::ResourceSpec& Resources(const v1::JobSpec& spec) {
  return GroupOf<v1::ResourceSpec>(spec, "resources");
}

const v1::PolicySpec& Policy(const v1::JobSpec& spec) {
  return GroupOf<v1::PolicySpec>(spec, "policy");
}

const v1::TrainSpec& Train(const v1::JobSpec& spec) {
  return GroupOf<v1::TrainSpec>(spec, "train");
}

const v1::OptimSpec& Optim(const v1::JobSpec& spec) {
  return GroupOf<v1::OptimSpec>(spec, "optim");
}

const v1::ModelSpec& Model(const v1::JobSpec& spec) {
  return GroupOf<v1::ModelSpec>(spec, "model");
}

std::vector<std::string> DependsOn(const v1::JobSpec& spec) {
  const auto copy = [](const auto& names) {
    return std::vector<std::string>(names.begin(), names.end());
  };
  switch (spec.kind_case()) {
    case v1::JobSpec::kPretrain:
      return copy(spec.pretrain().depends_on());
    case v1::JobSpec::kFinetune:
      return copy(spec.finetune().depends_on());
    case v1::JobSpec::kEvaluate:
      return copy(spec.evaluate().depends_on());
    case v1::JobSpec::KIND_NOT_SET:
      return {};
  }
  return {};
}

v1::Recipe RecipeOf(const v1::JobSpec& spec) {
  v1::Recipe recipe = v1::RECIPE_UNSPECIFIED;
  if (spec.has_pretrain()) recipe = spec.pretrain().recipe();
  if (spec.has_finetune()) recipe = spec.finetune().recipe();
  if (spec.has_evaluate()) recipe = spec.evaluate().recipe();
  return recipe == v1::RECIPE_UNSPECIFIED ? v1::PAPER : recipe;
}

int64_t SeedOf(const v1::JobSpec& spec) {
  if (spec.has_pretrain()) return spec.pretrain().seed();
  if (spec.has_finetune()) return spec.finetune().seed();
  return spec.evaluate().seed();
}

std::string SourceOf(const v1::JobSpec& spec) {
  if (spec.has_finetune()) return spec.finetune().init().from();
  if (spec.has_evaluate()) return spec.evaluate().model().from();
  return "";
}

v1::DataSpec* MutableData(v1::JobSpec* spec) {
  if (spec->has_pretrain()) return spec->mutable_pretrain()->mutable_data();
  if (spec->has_finetune()) return spec->mutable_finetune()->mutable_data();
  return spec->mutable_evaluate()->mutable_data();
}

void SetSource(std::string_view from, v1::JobSpec* spec) {
  if (spec->has_finetune()) {
    spec->mutable_finetune()->mutable_init()->set_from(std::string(from));
  } else if (spec->has_evaluate()) {
    spec->mutable_evaluate()->mutable_model()->set_from(std::string(from));
  }
}

Source ParseSource(std::string_view from) {
  using Kind = Source::Kind;
  if (from.empty() || from == "none") return {};
  Kind kind = Kind::kMalformed;
  if (Consume("job/", &from)) {
    kind = Kind::kJob;
  } else if (Consume("checkpoint/", &from)) {
    kind = Kind::kCheckpoint;
  } else if (Consume("file:", &from)) {
    kind = Kind::kFile;
  }
  if (from.empty()) kind = Kind::kMalformed;
  return {kind, std::string(from)};
}

}  // namespace g2ll::spec
