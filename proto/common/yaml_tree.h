#ifndef PROTO_COMMON_YAML_TREE_H_
#define PROTO_COMMON_YAML_TREE_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// YAML text as plain values with line numbers, within fixed bounds of memory and
// time whatever the text holds.
namespace g2ll::spec {

// Bounds of one text.
inline constexpr size_t kMaxYamlBytes = size_t{1} << 20;
inline constexpr int kMaxYamlDepth = 64;
inline constexpr size_t kMaxYamlNodes = 20000;                // aliases written out
inline constexpr size_t kMaxYamlTextBytes = size_t{4} << 20;  // aliases written out
inline constexpr size_t kMaxYamlDocuments = 100;

// A key of a map and where it stands.
struct YamlKey {
  std::string text;
  int line = 0;  // from 1
};

// One value.
struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  std::string text;                // of a scalar
  bool plain = false;              // a scalar without quotes, so it may be a number
  int line = 0;                    // from 1
  std::vector<YamlKey> keys;       // of a map, in order, repeated ones too
  std::vector<YamlNode> children;  // of a sequence; of a map beside `keys`
};

// Why a text was refused.
struct YamlError {
  int line = 1;  // from 1
  std::string message;
};

// The documents of a text in order; empty ones are left out. With `error`
// nothing else may be used.
struct YamlDocuments {
  std::vector<YamlNode> documents;
  std::optional<YamlError> error;
};

// Parses `text`. Refuses what is over a bound, bytes that are no UTF-8, NUL and
// other control characters, tags of its own, keys that are no scalars and
// aliases inside their own anchor. Aliases are written out.
YamlDocuments ParseYaml(std::string_view text);

// `text` as a YAML scalar that reads back as this text and never as a number, a
// boolean or null: quoted where it must be.
std::string YamlString(std::string_view text);

}  // namespace g2ll::spec

#endif  // PROTO_COMMON_YAML_TREE_H_
