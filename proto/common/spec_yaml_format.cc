#include <algorithm>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "proto/common/spec_access.h"
#include "proto/common/spec_defaults.h"
#include "proto/common/spec_field.h"
#include "proto/common/spec_yaml.h"

namespace g2ll::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string ScalarText(const Message& message, const FieldDescriptor* field, int index) {
  const std::string text = TextOf(message, field, index);
  return field->cpp_type() == FieldDescriptor::CPPTYPE_STRING ? YamlString(text) : text;
}

std::string ListText(const Message& message, const FieldDescriptor* field) {
  std::string text = "[";
  for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", ScalarText(message, field, i));
  }
  return text + "]";
}

// Comments of one file stand in one column where lines are short enough.
constexpr size_t kCommentColumn = 36;

// Writes the fields of a message with the comments that they have.
class SpecWriter {
 public:
  explicit SpecWriter(const std::map<std::string, std::string>& sources) : sources_(sources) {}

  // The lines of `message`; empty where no field is set.
  std::string Fields(const Message& message, const std::string& prefix, size_t indent) const {
    std::string out;
    bool has_value = false;
    const auto* reflection = message.GetReflection();
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = message.GetDescriptor()->field(i);
      const std::string path = prefix + field->json_name();
      const std::string key = std::string(indent, ' ') + field->json_name();
      const bool is_set = field->is_repeated() ? reflection->FieldSize(message, field) > 0
                                               : reflection->HasField(message, field);
      if (!is_set) {
        AppendUnset(key, path, &out);
      } else if (field->is_repeated()) {
        AppendLine(absl::StrCat(key, ": ", ListText(message, field)), path, &out);
      } else if (field->message_type() != nullptr && !IsDuration(field)) {
        const std::string inner =
            Fields(reflection->GetMessage(message, field), path + ".", indent + 2);
        if (inner.empty()) continue;
        absl::StrAppend(&out, key, ":\n", inner);
      } else {
        AppendLine(absl::StrCat(key, ": ", ScalarText(message, field, 0)), path, &out);
      }
      has_value |= is_set;
    }
    return has_value ? out : "";
  }

 private:
  void AppendLine(std::string line, const std::string& path, std::string* out) const {
    const auto source = sources_.find(path);
    if (source != sources_.end()) {
      line.resize(std::max(line.size() + 2, kCommentColumn), ' ');
      absl::StrAppend(&line, "# default: ", source->second);
    }
    absl::StrAppend(out, line, "\n");
  }

  // A comment alone: a key without a value would not be read back.
  void AppendUnset(const std::string& key, const std::string& path, std::string* out) const {
    const auto source = sources_.find(path);
    if (source == sources_.end()) return;
    const size_t indent = key.find_first_not_of(' ');
    std::string line = absl::StrCat(key.substr(0, indent), "# ", key.substr(indent), " is not set");
    line.resize(std::max(line.size() + 2, kCommentColumn), ' ');
    absl::StrAppend(out, line, "# default: ", source->second, "\n");
  }

  const std::map<std::string, std::string>& sources_;
};

}  // namespace

std::string FormatJobFile(std::string_view name, std::string_view project,
                          const std::map<std::string, std::string>& labels, const v1::JobSpec& spec,
                          const std::map<std::string, std::string>& sources) {
  std::string text = sources.empty() ? "" : absl::StrCat("# Sources: ", kSourceLegend, "\n");
  absl::StrAppend(&text, "apiVersion: g2ll/v1\nkind: ", std::string(KindName(spec)),
                  "\nmetadata:\n  name: ", YamlString(name), "\n  project: ", YamlString(project),
                  "\n");
  if (!labels.empty()) absl::StrAppend(&text, "  labels:\n");
  for (const auto& [key, value] : labels) {
    absl::StrAppend(&text, "    ", YamlString(key), ": ", YamlString(value), "\n");
  }
  if (const Message* kind = KindMessage(spec)) {
    const std::string fields = SpecWriter(sources).Fields(*kind, "", 2);
    absl::StrAppend(&text, fields.empty() ? "spec: {}\n" : "spec:\n", fields);
  }
  return text;
}

}  // namespace g2ll::spec
