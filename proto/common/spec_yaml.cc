#include "proto/common/spec_yaml.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "proto/common/log.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/spec_field.h"
#include "proto/common/spec_validation.h"

namespace g2ll::spec {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMaxGivenBytes = 60;
constexpr size_t kMaxFaults = 100;
constexpr char kApiVersion[] = "g2ll/v1";

const std::vector<std::string>& KindNames() {
  static const std::vector<std::string> kNames = {"PretrainJob", "FinetuneJob", "EvaluateJob"};
  return kNames;
}

std::string Shortened(std::string_view text) {
  const std::string_view cut = log::CutUtf8(text, kMaxGivenBytes);
  return absl::StrCat(std::string(cut), cut.size() < text.size() ? "..." : "");
}

// What stands at a node, for people.
std::string GivenText(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return node.plain ? Shortened(node.text)
                        : absl::StrCat("the text \"", Shortened(node.text), "\"");
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "keys and values";
  }
  return "";
}

const YamlNode* FindChild(const YamlNode& node, std::string_view key) {
  for (size_t i = 0; i < node.keys.size(); ++i) {
    if (node.keys[i].text == key) return &node.children[i];
  }
  return nullptr;
}

std::vector<std::string> JsonNames(const Descriptor* type) {
  std::vector<std::string> names;
  for (int i = 0; i < type->field_count(); ++i) names.push_back(type->field(i)->json_name());
  return names;
}

// Paths below `type` that end with `key`: where a key that stands in the wrong
// group belongs.
std::string PathElsewhere(const Descriptor* type, std::string_view key) {
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->message_type() == nullptr || IsDuration(field)) continue;
    if (const FieldDescriptor* found = FindField(field->message_type(), key)) {
      return absl::StrCat("spec.", field->json_name(), ".", found->json_name());
    }
    for (int j = 0; j < field->message_type()->field_count(); ++j) {
      const FieldDescriptor* inner = field->message_type()->field(j);
      if (inner->message_type() == nullptr || IsDuration(inner)) continue;
      if (FindField(inner->message_type(), key) != nullptr) {
        return absl::StrCat("spec.", field->json_name(), ".", inner->json_name(), ".",
                            std::string(key));
      }
    }
  }
  return "";
}

// Maps one document.
class DocumentMapper {
 public:
  DocumentMapper(JobDocument* job, std::vector<Fault>* faults) : job_(*job), faults_(*faults) {}

  void Map(const YamlNode& root);

 private:
  void AddFault(int line, std::string key, std::string given, std::string allowed,
                std::string nearest = "") {
    if (faults_.size() < kMaxFaults) {
      faults_.push_back(
          {line, std::move(key), std::move(given), std::move(allowed), std::move(nearest)});
    }
  }

  // Calls `visit(key, node, path)` for each key of a map once. A key that
  // `visit` does not know (it returns false) or that comes twice is a fault.
  template <typename Visit>
  void ForEachKey(const YamlNode& map, const std::string& prefix,
                  const std::vector<std::string>& known, Visit&& visit);

  // The text of a scalar; a fault and nothing if it is none.
  const std::string* TextAt(const YamlNode& node, const std::string& path);

  void MapMetadata(const YamlNode& node);
  void MapLabels(const YamlNode& node);
  void MapMessage(const YamlNode& node, const std::string& path, Message* message);
  void MapField(const YamlNode& node, const std::string& path, const FieldDescriptor* field,
                Message* message);
  void CheckName(const YamlNode& root);

  JobDocument& job_;
  std::vector<Fault>& faults_;
};

template <typename Visit>
void DocumentMapper::ForEachKey(const YamlNode& map, const std::string& prefix,
                                const std::vector<std::string>& known, Visit&& visit) {
  std::map<std::string, int> seen;
  for (size_t i = 0; i < map.keys.size(); ++i) {
    const YamlKey& key = map.keys[i];
    const std::string path =
        prefix.empty() ? Shortened(key.text) : absl::StrCat(prefix, ".", Shortened(key.text));
    const auto [first, is_new] = seen.emplace(key.text, key.line);
    if (!is_new) {
      AddFault(key.line, path, "the key again",
               absl::StrCat("each key once; it first stands in line ", first->second));
      continue;
    }
    job_.lines[path] = key.line;
    if (visit(key.text, map.children[i], path)) continue;
    std::string nearest = NearestWord(key.text, known);
    if (nearest.empty() && KindMessage(job_.spec) != nullptr) {
      nearest = PathElsewhere(KindMessage(job_.spec)->GetDescriptor(), key.text);
    }
    AddFault(key.line, path, "an unknown key", absl::StrCat("one of ", absl::StrJoin(known, ", ")),
             nearest);
  }
}

const std::string* DocumentMapper::TextAt(const YamlNode& node, const std::string& path) {
  if (node.kind == YamlNode::Kind::kScalar) return &node.text;
  AddFault(node.line, path, GivenText(node), "a text");
  return nullptr;
}

void DocumentMapper::Map(const YamlNode& root) {
  job_.line = root.line;
  if (root.kind != YamlNode::Kind::kMap) {
    AddFault(root.line, "document", GivenText(root), "the keys apiVersion, kind, metadata, spec");
    return;
  }
  const YamlNode* version = FindChild(root, "apiVersion");
  if (version == nullptr || version->text != kApiVersion) {
    AddFault(version ? version->line : root.line, "apiVersion",
             version ? GivenText(*version) : "nothing", kApiVersion);
  }
  const YamlNode* kind = FindChild(root, "kind");
  if (kind == nullptr || !SetKind(kind->text, &job_.spec)) {
    AddFault(kind ? kind->line : root.line, "kind", kind ? GivenText(*kind) : "nothing",
             absl::StrCat("one of ", absl::StrJoin(KindNames(), ", ")),
             kind ? NearestWord(kind->text, KindNames()) : "");
  }
  job_.kind = std::string(KindName(job_.spec));
  ForEachKey(root, "", {"apiVersion", "kind", "metadata", "spec"},
             [&](const std::string& key, const YamlNode& node, const std::string& path) {
               if (key == "metadata") {
                 MapMetadata(node);
               } else if (key == "spec") {
                 if (Message* message = MutableKindMessage(&job_.spec)) {
                   MapMessage(node, path, message);
                 }
               }
               return key == "apiVersion" || key == "kind" || key == "metadata" || key == "spec";
             });
  CheckName(root);
}

void DocumentMapper::CheckName(const YamlNode& root) {
  const auto line = job_.lines.find("metadata.name");
  if (!IsValidName(job_.name)) {
    AddFault(line == job_.lines.end() ? root.line : line->second, "metadata.name",
             job_.name.empty() ? "nothing" : Shortened(job_.name), kNameAllowed);
  }
  if (!IsValidName(job_.project)) {
    AddFault(job_.LineOf("metadata.project"), "metadata.project", Shortened(job_.project),
             kNameAllowed);
  }
  for (const Violation& violation : ValidateLabels(job_.labels)) {
    const std::string path = absl::StrCat("metadata.", violation.field);
    AddFault(job_.LineOf(path), path, violation.given, violation.allowed);
  }
}

void DocumentMapper::MapMetadata(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kMap) {
    AddFault(node.line, "metadata", GivenText(node), "the keys name, project, labels");
    return;
  }
  ForEachKey(node, "metadata", {"name", "project", "labels"},
             [&](const std::string& key, const YamlNode& value, const std::string& path) {
               if (key == "name" || key == "project") {
                 if (const std::string* text = TextAt(value, path)) {
                   (key == "name" ? job_.name : job_.project) = *text;
                 }
               } else if (key == "labels") {
                 MapLabels(value);
               }
               return key == "name" || key == "project" || key == "labels";
             });
}

void DocumentMapper::MapLabels(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kMap) {
    AddFault(node.line, "metadata.labels", GivenText(node), "keys and texts");
    return;
  }
  ForEachKey(node, "metadata.labels", {},
             [&](const std::string& key, const YamlNode& value, const std::string& path) {
               if (const std::string* text = TextAt(value, path)) job_.labels[key] = *text;
               return true;
             });
}

void DocumentMapper::MapMessage(const YamlNode& node, const std::string& path, Message* message) {
  const std::vector<std::string> known = JsonNames(message->GetDescriptor());
  if (node.kind != YamlNode::Kind::kMap) {
    AddFault(node.line, path, GivenText(node),
             absl::StrCat("the keys ", absl::StrJoin(known, ", ")));
    return;
  }
  ForEachKey(node, path, known,
             [&](const std::string& key, const YamlNode& value, const std::string& key_path) {
               if (key.find('.') != std::string::npos) return false;
               const FieldDescriptor* field = FindField(message->GetDescriptor(), key);
               if (field != nullptr) MapField(value, key_path, field, message);
               return field != nullptr;
             });
}

void DocumentMapper::MapField(const YamlNode& node, const std::string& path,
                              const FieldDescriptor* field, Message* message) {
  const auto set = [&](const YamlNode& scalar) {
    const ScalarStyle style = scalar.plain ? ScalarStyle::kPlain : ScalarStyle::kQuoted;
    if (scalar.kind == YamlNode::Kind::kScalar && SetFromText(message, field, scalar.text, style)) {
      return;
    }
    const std::string nearest =
        field->enum_type() != nullptr ? NearestWord(scalar.text, EnumNames(field)) : std::string();
    AddFault(scalar.line, path, GivenText(scalar), AllowedText(field), nearest);
  };
  if (field->message_type() != nullptr && !IsDuration(field)) {
    MapMessage(node, path, message->GetReflection()->MutableMessage(message, field));
  } else if (!field->is_repeated()) {
    set(node);
  } else if (node.kind == YamlNode::Kind::kSequence) {
    for (const YamlNode& element : node.children) set(element);
  } else {
    AddFault(node.line, path, GivenText(node),
             absl::StrCat("a list, each entry ", AllowedText(field)));
  }
}

// An override has no line of the file.
void ClearLines(YamlNode* node) {
  node->line = 0;
  for (YamlKey& key : node->keys) key.line = 0;
  for (YamlNode& child : node->children) ClearLines(&child);
}

// Sets the value at a dotted path; maps on the way are made, other nodes there
// are replaced. Keys on the way keep their lines for other faults.
void SetAtPath(YamlNode* node, std::string_view path, const YamlNode& value) {
  if (path.empty()) {
    *node = value;
    return;
  }
  if (node->kind != YamlNode::Kind::kMap) {
    *node = YamlNode{};
    node->kind = YamlNode::Kind::kMap;
  }
  const size_t dot = path.find('.');
  const std::string key(path.substr(0, dot));
  const bool is_last = dot == std::string_view::npos;
  const std::string_view rest = is_last ? "" : path.substr(dot + 1);
  size_t index = 0;
  while (index < node->keys.size() && node->keys[index].text != key) ++index;
  if (index == node->keys.size()) {
    node->keys.push_back({key, 0});
    node->children.emplace_back();
  }
  if (is_last) node->keys[index].line = 0;
  SetAtPath(&node->children[index], rest, value);
}

// Whether a job of the document's kind, and method where it has one, reads the key.
bool JobReads(const YamlNode& document, std::string_view path) {
  constexpr std::string_view kSpec = "spec.";
  if (path.substr(0, kSpec.size()) != kSpec) return true;
  const YamlNode* kind = FindChild(document, "kind");
  v1::JobSpec spec;
  if (kind == nullptr || !SetKind(kind->text, &spec)) return true;
  const FieldRef method = MutableField(MutableKindMessage(&spec), "method");
  const YamlNode* settings = FindChild(document, "spec");
  const YamlNode* given = settings == nullptr ? nullptr : FindChild(*settings, "method");
  if (method.field != nullptr && given != nullptr) {
    // A method that does not exist gets its fault later.
    SetFromText(method.message, method.field, given->text, ScalarStyle::kPlain);
  }
  return IsRead(spec, path.substr(kSpec.size()));
}

// `pretrain.data.source`: for documents of one kind only.
struct KindPrefix {
  std::string_view prefix;
  std::string_view kind;
};
constexpr KindPrefix kKindPrefixes[] = {
    {"pretrain.", "PretrainJob"}, {"finetune.", "FinetuneJob"}, {"evaluate.", "EvaluateJob"}};

// Which documents an override is for.
struct OverrideTarget {
  std::string path;       // begins with `spec.` or `metadata.`
  std::string_view kind;  // empty: any that reads the key
};

OverrideTarget TargetOf(const std::string& path) {
  for (const KindPrefix& row : kKindPrefixes) {
    if (path.rfind(row.prefix, 0) == 0) {
      return {absl::StrCat("spec.", path.substr(row.prefix.size())), row.kind};
    }
  }
  return {path, ""};
}

bool IsOfKind(const YamlNode& document, std::string_view kind) {
  const YamlNode* given = FindChild(document, "kind");
  return kind.empty() || (given != nullptr && given->text == kind);
}

void ApplyOverride(const Override& change, std::vector<YamlNode>* documents,
                   std::vector<Fault>* faults) {
  const OverrideTarget target = TargetOf(change.path);
  const std::string& path = target.path;
  if ((path.rfind("spec.", 0) != 0 && path.rfind("metadata.", 0) != 0) || path.back() == '.' ||
      path.find("..") != std::string::npos) {
    faults->push_back({0, Shortened(change.path), "this path",
                       "spec.GROUP.KEY, metadata.KEY, or pretrain., finetune. or evaluate. with "
                       "GROUP.KEY",
                       ""});
    return;
  }
  YamlDocuments value = ParseYaml(change.value);
  if (value.error || value.documents.size() > 1) {
    faults->push_back(
        {0, Shortened(change.path), Shortened(change.value),
         value.error ? absl::StrCat("a YAML value: ", value.error->message) : "one YAML value",
         ""});
    return;
  }
  YamlNode node = value.documents.empty() ? YamlNode{} : value.documents.front();
  ClearLines(&node);
  YamlNode* first = nullptr;
  bool used = false;
  for (YamlNode& document : *documents) {
    if (!IsOfKind(document, target.kind)) continue;
    if (first == nullptr) first = &document;
    if (document.kind != YamlNode::Kind::kMap || !JobReads(document, path)) continue;
    SetAtPath(&document, path, node);
    used = true;
  }
  // No job reads such a key: the first document's fault tells the nearest one. A file
  // without a job of the wanted kind has nothing to change, so that one command line
  // serves many files.
  if (!used && first != nullptr) SetAtPath(first, path, node);
}

}  // namespace

int JobDocument::LineOf(std::string_view field) const {
  std::string path(field);
  while (true) {
    if (const auto found = lines.find(path); found != lines.end()) return found->second;
    const size_t dot = path.rfind('.');
    if (dot == std::string::npos) return line;
    path.resize(dot);
  }
}

std::string Fault::ToString(std::string_view file) const {
  std::string text = line > 0 ? absl::StrCat(std::string(file), ":", line, ": ") : "--set ";
  absl::StrAppend(&text, key, ": given ", given, ", allowed: ", allowed);
  if (!nearest.empty()) absl::StrAppend(&text, "; did you mean ", nearest, "?");
  return log::EscapeControl(text);
}

JobFile ParseJobFile(std::string_view text, const std::vector<Override>& overrides) {
  JobFile file;
  YamlDocuments yaml = ParseYaml(text);
  if (yaml.error) {
    file.faults.push_back({yaml.error->line, "file", yaml.error->message, "a YAML job file", ""});
    return file;
  }
  if (yaml.documents.empty()) {
    file.faults.push_back({1, "file", "no job", "at least one document with kind and spec", ""});
    return file;
  }
  for (const Override& change : overrides) ApplyOverride(change, &yaml.documents, &file.faults);
  std::map<std::string, int> names;
  for (const YamlNode& document : yaml.documents) {
    JobDocument job;
    DocumentMapper(&job, &file.faults).Map(document);
    const auto [first, is_new] =
        names.emplace(absl::StrCat(job.project, "/", job.name), job.LineOf("metadata.name"));
    if (!is_new && !job.name.empty()) {
      file.faults.push_back(
          {job.LineOf("metadata.name"), "metadata.name", job.name,
           absl::StrCat("a name of its own; line ", first->second, " has the same"), ""});
    }
    file.jobs.push_back(std::move(job));
  }
  return file;
}

}  // namespace g2ll::spec
