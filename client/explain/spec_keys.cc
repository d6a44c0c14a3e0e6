#include "client/explain/spec_keys.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/explain/comment_table.h"
#include "client/explain/spec_units.h"
#include "g2ll/v1/spec.pb.h"
#include "google/protobuf/descriptor.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/spec_field.h"
#include "proto/common/spec_ranges.h"
#include "proto/common/spec_validation.h"

namespace g2ll::explain {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// One way to read a spec: a method of a PretrainJob, or another kind.
struct Reading {
  const char* method;  // empty: the kind has no methods
  uint32_t scope;
};

struct Kind {
  const char* name;
  const char* short_name;
  const char* meaning;
  const Descriptor* type;
  std::vector<Reading> readings;
};

const std::array<Kind, 3>& Kinds() {
  static const std::array<Kind, 3> kKinds = {
      Kind{"PretrainJob",
           "pretrain",
           "Pre-training of the encoder, without labels but for method supervised.",
           v1::PretrainSpec::descriptor(),
           {{"g2ll", spec::kG2ll},
            {"mae", spec::kMae},
            {"dino", spec::kDino},
            {"supervised", spec::kSupervised}}},
      Kind{"FinetuneJob",
           "finetune",
           "Supervised training of the segmentation network.",
           v1::FinetuneSpec::descriptor(),
           {{"", spec::kFinetune}}},
      Kind{"EvaluateJob",
           "evaluate",
           "Measurement of a segmentation network on a split, with a report.",
           v1::EvaluateSpec::descriptor(),
           {{"", spec::kEvaluate}}}};
  return kKinds;
}

// Keys beside the spec, which are no fields of it.
struct MetadataKey {
  const char* name;
  const char* type;
  const char* meaning;
  const char* allowed;
  const char* default_text;
};
constexpr MetadataKey kMetadata[] = {
    {"name", "text", "Name of the job, unique in its project until it is deleted.",
     spec::kNameAllowed, ""},
    {"project", "text", "Project that the job counts for.", spec::kNameAllowed, "default"},
    {"labels", "keys and values", "Free words to find the job by: g2ll list --label KEY=VALUE.",
     "at most 1,000 pairs; keys of 1 to 63, values of 0 to 63 of A-Z, a-z, 0-9, ., _ and -", ""},
};

std::string TextIn(const spec::Default& row, const char* spec::Default::*recipe) {
  return row.*recipe == nullptr ? "" : row.*recipe;
}

// The row that holds in one reading and recipe; null if there is none.
const spec::Default* RowOf(std::string_view path, uint32_t scope,
                           const char* spec::Default::*recipe) {
  for (const spec::Default& row : spec::Defaults()) {
    if ((row.scope & scope) != 0 && path == row.path && row.*recipe != nullptr) return &row;
  }
  return nullptr;
}

std::vector<DefaultRow> DefaultsOf(const Kind& kind, std::string_view path) {
  std::vector<DefaultRow> rows;
  for (const Reading& reading : kind.readings) {
    DefaultRow row;
    std::vector<std::string> sources;
    bool has_any = false;
    for (const auto& [recipe, text] :
         {std::pair(&spec::Default::paper, &row.paper), std::pair(&spec::Default::plus, &row.plus),
          std::pair(&spec::Default::smoke, &row.smoke)}) {
      const spec::Default* found = RowOf(path, reading.scope, recipe);
      if (found == nullptr) continue;
      has_any = true;
      *text = TextIn(*found, recipe);
      if (std::find(sources.begin(), sources.end(), found->source) == sources.end()) {
        sources.emplace_back(found->source);
      }
    }
    if (!has_any) continue;
    row.source = absl::StrJoin(sources, "; ");
    const auto same = std::find_if(rows.begin(), rows.end(), [&](const DefaultRow& other) {
      return other.paper == row.paper && other.plus == row.plus && other.smoke == row.smoke &&
             other.source == row.source;
    });
    DefaultRow& target = same == rows.end() ? rows.emplace_back(row) : *same;
    if (*reading.method != '\0') target.methods.emplace_back(reading.method);
  }
  return rows;
}

// Whether any job of the kind reads the key or a key below it.
bool IsReadBy(const Kind& kind, std::string_view path) {
  return std::any_of(kind.readings.begin(), kind.readings.end(), [&](const Reading& reading) {
    v1::JobSpec spec;
    if (reading.scope == spec::kFinetune) {
      spec.mutable_finetune();
    } else if (reading.scope == spec::kEvaluate) {
      spec.mutable_evaluate();
    } else {
      v1::PretrainSpec::Method method = v1::PretrainSpec::G2LL;
      if (reading.scope == spec::kMae) method = v1::PretrainSpec::MAE;
      if (reading.scope == spec::kDino) method = v1::PretrainSpec::DINO;
      if (reading.scope == spec::kSupervised) method = v1::PretrainSpec::SUPERVISED;
      spec.mutable_pretrain()->set_method(method);
    }
    return spec::IsRead(spec, path);
  });
}

bool IsGroup(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !spec::IsDuration(field);
}

std::string TypeOf(const FieldDescriptor* field) {
  if (IsGroup(field)) return "group";
  if (spec::IsDuration(field)) return "duration";
  const bool is_list = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return is_list ? "list of numbers" : "number";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return "one word";
    case FieldDescriptor::CPPTYPE_STRING:
      return is_list ? "list of texts" : "text";
    default:
      return is_list ? "list of whole numbers" : "whole number";
  }
}

// Up to the first full stop that ends a sentence.
std::string FirstSentence(std::string_view text) {
  const size_t end = text.find(". ");
  return std::string(end == std::string_view::npos ? text : text.substr(0, end + 1));
}

std::string WholeKey(const Kind& kind, std::string_view path) {
  return absl::StrCat(kind.name, path.empty() ? "" : ".spec.", std::string(path));
}

// A group's own comment says more than the one of the field that holds it.
std::string MeaningOf(const FieldDescriptor* field) {
  std::string meaning(CommentOf(field->full_name()));
  if (!IsGroup(field)) return meaning;
  const std::string_view group = CommentOf(field->message_type()->full_name());
  return group.empty() ? meaning : std::string(group);
}

// Calls `visit` with the path of every key below `type` that the kind reads, groups
// before what is in them.
void ForEachKey(const Kind& kind, const Descriptor* type, const std::string& prefix,
                const std::function<void(const std::string&, const FieldDescriptor*)>& visit) {
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const std::string path =
        prefix.empty() ? field->json_name() : absl::StrCat(prefix, ".", field->json_name());
    if (!IsReadBy(kind, path)) continue;
    visit(path, field);
    if (IsGroup(field)) ForEachKey(kind, field->message_type(), path, visit);
  }
}

std::vector<KeyLine> LinesBelow(const Kind& kind, const Descriptor* type,
                                const std::string& prefix) {
  std::vector<KeyLine> lines;
  ForEachKey(kind, type, prefix, [&](const std::string& path, const FieldDescriptor* field) {
    if (IsGroup(field)) return;
    lines.push_back({WholeKey(kind, path), TypeOf(field), FirstSentence(MeaningOf(field))});
  });
  return lines;
}

Key KindKey(const Kind& kind) {
  Key key;
  key.key = kind.name;
  key.type = "group";
  key.meaning = kind.meaning;
  for (const MetadataKey& metadata : kMetadata) {
    key.keys.push_back(
        {absl::StrCat(kind.name, ".metadata.", metadata.name), metadata.type, metadata.meaning});
  }
  const std::vector<KeyLine> below = LinesBelow(kind, kind.type, "");
  key.keys.insert(key.keys.end(), below.begin(), below.end());
  return key;
}

Key FieldKey(const Kind& kind, const std::string& path, const FieldDescriptor* field) {
  Key key;
  key.key = WholeKey(kind, path);
  key.type = TypeOf(field);
  key.meaning = MeaningOf(field);
  if (IsGroup(field)) {
    key.keys = LinesBelow(kind, field->message_type(), path);
    return key;
  }
  key.unit = UnitOf(path);
  key.allowed = spec::AllowedRange(path, field).value_or(spec::AllowedText(field));
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const auto* type = field->enum_type();
    for (int i = 0; i < type->value_count(); ++i) {
      if (type->value(i)->number() == 0) continue;
      key.choices.emplace_back(
          absl::AsciiStrToLower(type->value(i)->name()),
          CommentOf(absl::StrCat(type->full_name(), ".", type->value(i)->name())));
    }
  }
  key.defaults = DefaultsOf(kind, path);
  return key;
}

const Kind* FindKind(std::string_view word) {
  for (const Kind& kind : Kinds()) {
    const std::string text(word);
    if (absl::EqualsIgnoreCase(text, kind.name) || absl::EqualsIgnoreCase(text, kind.short_name)) {
      return &kind;
    }
  }
  return nullptr;
}

std::vector<std::string> PathsOf(const Kind& kind) {
  std::vector<std::string> paths;
  ForEachKey(kind, kind.type, "",
             [&](const std::string& path, const FieldDescriptor*) { paths.push_back(path); });
  return paths;
}

// The key that was meant: a slip of the finger in the path, or the right word in another
// group. Empty if nothing is near.
std::string NearestPath(const Kind& kind, std::string_view path) {
  const std::vector<std::string> paths = PathsOf(kind);
  const std::string_view leaf = path.substr(path.rfind('.') + 1);
  std::vector<std::string> leaves;
  for (const std::string& known : paths) {
    const std::string known_leaf = known.substr(known.rfind('.') + 1);
    if (absl::EqualsIgnoreCase(known_leaf, std::string(leaf))) return known;
    leaves.push_back(known_leaf);
  }
  const std::string near_path = spec::NearestWord(path, paths);
  if (!near_path.empty()) return near_path;
  const std::string near_leaf = spec::NearestWord(leaf, leaves);
  const auto found = std::find(leaves.begin(), leaves.end(), near_leaf);
  return found == leaves.end() ? "" : paths[static_cast<size_t>(found - leaves.begin())];
}

absl::Status NoSuchKey(const Kind& kind, std::string_view path) {
  const std::string near = NearestPath(kind, path);
  return absl::NotFoundError(
      absl::StrCat(WholeKey(kind, path), " is no key of a job file",
                   near.empty() ? absl::StrCat("; g2ll explain ", kind.name, " lists all")
                                : absl::StrCat("; did you mean ", WholeKey(kind, near), "?")));
}

absl::StatusOr<Key> ExplainMetadata(const Kind& kind, std::string_view name) {
  std::vector<std::string> names;
  for (const MetadataKey& metadata : kMetadata) {
    names.emplace_back(metadata.name);
    if (name != metadata.name) continue;
    Key key;
    key.key = absl::StrCat(kind.name, ".metadata.", metadata.name);
    key.type = metadata.type;
    key.meaning = metadata.meaning;
    key.allowed = metadata.allowed;
    if (*metadata.default_text != '\0') {
      key.defaults.push_back({{},
                              metadata.default_text,
                              metadata.default_text,
                              metadata.default_text,
                              "every server has it"});
    }
    return key;
  }
  const std::string near = spec::NearestWord(name, names);
  return absl::NotFoundError(
      absl::StrCat(kind.name, ".metadata.", std::string(name), " is no key of a job file; ",
                   near.empty() ? absl::StrCat("known are ", absl::StrJoin(names, ", "))
                                : absl::StrCat("did you mean metadata.", near, "?")));
}

}  // namespace

absl::StatusOr<Key> Explain(std::string_view key) {
  const std::string_view word = key.substr(0, key.find('.'));
  const Kind* kind = FindKind(word);
  if (kind == nullptr) {
    const std::string near = spec::NearestWord(word, {"PretrainJob", "FinetuneJob", "EvaluateJob"});
    return absl::NotFoundError(
        absl::StrCat(std::string(word), " is no kind of job; ",
                     near.empty() ? "known are PretrainJob, FinetuneJob and EvaluateJob"
                                  : absl::StrCat("did you mean ", near, "?")));
  }
  std::string_view path = key.substr(std::min(word.size() + 1, key.size()));
  const auto consume = [&path](std::string_view prefix) {
    const bool has = path.substr(0, prefix.size()) == prefix;
    if (has) path.remove_prefix(prefix.size());
    return has;
  };
  if (consume("metadata.")) return ExplainMetadata(*kind, path);
  if (path == "spec") path = "";
  consume("spec.");
  if (path.empty()) return KindKey(*kind);
  const FieldDescriptor* field = spec::FindField(kind->type, path);
  if (field == nullptr) return NoSuchKey(*kind, path);
  if (!IsReadBy(*kind, path)) {
    return absl::NotFoundError(absl::StrCat(WholeKey(*kind, path), " is read by no ", kind->name,
                                            ": a job file that sets it is refused"));
  }
  return FieldKey(*kind, std::string(path), field);
}

std::vector<std::string> AllKeys() {
  std::vector<std::string> keys;
  for (const Kind& kind : Kinds()) {
    keys.emplace_back(kind.name);
    for (const MetadataKey& metadata : kMetadata) {
      keys.push_back(absl::StrCat(kind.name, ".metadata.", metadata.name));
    }
    for (const std::string& path : PathsOf(kind)) keys.push_back(WholeKey(kind, path));
  }
  return keys;
}

}  // namespace g2ll::explain
