#ifndef PROTO_COMMON_SPEC_FIELD_H_
#define PROTO_COMMON_SPEC_FIELD_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

// Fields of a spec by their dotted lowerCamelCase path, and their values as the
// texts that a job file has. Pure functions.
namespace g2ll::spec {

// The field `path` (`mask.gamma`) below a message type; null if there is none.
const google::protobuf::FieldDescriptor* FindField(const google::protobuf::Descriptor* type,
                                                   std::string_view path);

// A field inside its message.
struct FieldRef {
  google::protobuf::Message* message = nullptr;
  const google::protobuf::FieldDescriptor* field = nullptr;
};

// The field `path` below `root`, with the messages on the way made. `field` is
// null if there is none.
FieldRef MutableField(google::protobuf::Message* root, std::string_view path);

// Calls `visit` for every field below `root` that holds a value and is no group
// of fields, with its path; every repeated field once.
using FieldVisitor =
    std::function<void(const std::string& path, const google::protobuf::Message& message,
                       const google::protobuf::FieldDescriptor* field)>;
void ForEachValue(const google::protobuf::Message& root, const FieldVisitor& visit);

// The field is a message that job files write as one word (`5m`).
bool IsDuration(const google::protobuf::FieldDescriptor* field);

// What a job file may give for this field, for example `a whole number` or
// `one of random, semantic, semantic_focal`.
std::string AllowedText(const google::protobuf::FieldDescriptor* field);

// Names of an enum field's values as a job file has them, without the zero.
std::vector<std::string> EnumNames(const google::protobuf::FieldDescriptor* field);

// How a scalar was written.
enum class ScalarStyle { kPlain, kQuoted };

// Sets a field from its text, or adds one element to a repeated field. Enums by
// name in any case, durations as `1h30m`, `auto` clears a duration. Numbers and
// booleans must be plain. Returns false, and changes nothing, if the text is not
// allowed; AllowedText tells what is.
bool SetFromText(google::protobuf::Message* message, const google::protobuf::FieldDescriptor* field,
                 std::string_view text, ScalarStyle style);

// The text of a field's value, which SetFromText reads back; `index` is the
// element of a repeated field.
std::string TextOf(const google::protobuf::Message& message,
                   const google::protobuf::FieldDescriptor* field, int index = 0);

// The shortest decimal that reads back the same; `NaN`, `Infinity`, `-Infinity`.
std::string NumberText(double value);

// The candidate with the smallest edit distance to `word`, if it is near enough
// to be what was meant; else empty.
std::string NearestWord(std::string_view word, const std::vector<std::string>& candidates);

// Bytes of a quantity such as `8Gi`, `512Mi`, `2G` or `1000`; nothing if it is none.
std::optional<int64_t> ParseQuantity(std::string_view text);

}  // namespace g2ll::spec

#endif  // PROTO_COMMON_SPEC_FIELD_H_
