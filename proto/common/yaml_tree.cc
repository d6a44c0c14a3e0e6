#include "proto/common/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proto/common/log.h"

namespace g2ll::spec {
namespace {

constexpr char kCoreTag[] = "tag:yaml.org,2002:";

// Builds nodes from the parser's events. The parser is made to report errors by
// exceptions, so this one does too; ParseYaml catches them.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::vector<YamlNode>* documents) : documents_(documents) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    anchors_.clear();
    open_.clear();
    if (documents_->size() >= kMaxYamlDocuments) {
      Refuse(mark, absl::StrCat("more than ", kMaxYamlDocuments, " documents"));
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Place(mark, anchor, MakeNode(mark, YamlNode::Kind::kNull));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) Refuse(mark, "an alias inside its own anchor");
    Charge(mark, found->second);
    YamlNode node = found->second;
    node.line = mark.line + 1;
    Place(mark, YAML::NullAnchor, std::move(node));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node = MakeNode(mark, YamlNode::Kind::kScalar);
    const std::string core = CoreTag(mark, tag);
    node.plain = tag == "?" || core == "int" || core == "float" || core == "bool";
    node.text = value;
    CountText(mark, value.size());
    Place(mark, anchor, std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    CoreTag(mark, tag);
    Open(mark, anchor, YamlNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    CoreTag(mark, tag);
    Open(mark, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A sequence or map whose end has not come.
  struct OpenNode {
    YamlNode node;
    YAML::Mark mark;
    YAML::anchor_t anchor;
    bool expects_key;
  };

  [[noreturn]] static void Refuse(const YAML::Mark& mark, const std::string& message) {
    throw YAML::ParserException(mark, message);
  }

  // What stands after the prefix of YAML's own tags; refuses all others.
  static std::string CoreTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return "";
    for (const char* known : {"str", "int", "float", "bool", "map", "seq"}) {
      if (tag == absl::StrCat(kCoreTag, known)) return known;
    }
    Refuse(mark, "a tag; job files have none");
  }

  void CountText(const YAML::Mark& mark, size_t bytes) {
    text_bytes_ += bytes;
    if (text_bytes_ > kMaxYamlTextBytes) Refuse(mark, "too much text once aliases are written out");
  }

  void CountNode(const YAML::Mark& mark) {
    if (++nodes_ > kMaxYamlNodes) {
      Refuse(mark, absl::StrCat("more than ", kMaxYamlNodes, " values, aliases written out"));
    }
  }

  // Counts a copy before it is made.
  void Charge(const YAML::Mark& mark, const YamlNode& node) {
    CountNode(mark);
    CountText(mark, node.text.size());
    for (const YamlKey& key : node.keys) CountText(mark, key.text.size());
    for (const YamlNode& child : node.children) Charge(mark, child);
  }

  YamlNode MakeNode(const YAML::Mark& mark, YamlNode::Kind kind) {
    CountNode(mark);
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    return node;
  }

  void Open(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (open_.size() >= kMaxYamlDepth) {
      Refuse(mark, absl::StrCat("more than ", kMaxYamlDepth, " levels"));
    }
    open_.push_back({MakeNode(mark, kind), mark, anchor, kind == YamlNode::Kind::kMap});
  }

  void Close() {
    OpenNode closed = std::move(open_.back());
    open_.pop_back();
    Place(closed.mark, closed.anchor, std::move(closed.node));
  }

  void Place(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode node) {
    if (anchor != YAML::NullAnchor) {
      Charge(mark, node);
      anchors_[anchor] = node;
    }
    if (open_.empty()) {
      if (node.kind != YamlNode::Kind::kNull) documents_->push_back(std::move(node));
      return;
    }
    OpenNode& parent = open_.back();
    if (!parent.expects_key) {
      // A missing value is marked where the next thing stands: its key says more.
      if (node.kind == YamlNode::Kind::kNull && !parent.node.keys.empty()) {
        node.line = parent.node.keys.back().line;
      }
      parent.node.children.push_back(std::move(node));
      parent.expects_key = parent.node.kind == YamlNode::Kind::kMap;
      return;
    }
    if (node.kind != YamlNode::Kind::kScalar) Refuse(mark, "a key that is no plain word");
    parent.node.keys.push_back({std::move(node.text), node.line});
    parent.expects_key = false;
  }

  std::vector<YamlNode>* documents_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  std::vector<OpenNode> open_;
  size_t nodes_ = 0;
  size_t text_bytes_ = 0;
};

// Refuses what no job file needs before the parser sees it.
std::optional<YamlError> CheckBytes(std::string_view text) {
  if (text.size() > kMaxYamlBytes) {
    return YamlError{1, absl::StrCat("more than ", kMaxYamlBytes, " bytes")};
  }
  int line = 1;
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\n') ++line;
    if (byte == 0) return YamlError{line, "a NUL byte"};
    if ((byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7f) {
      return YamlError{line, "a control character"};
    }
    const size_t length = byte < 0x80 ? 1 : log::Utf8Length(text.substr(i));
    // U+0080 to U+009F, which terminals obey too.
    const bool is_c1 =
        length == 2 && byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (length == 0) return YamlError{line, "bytes that are not UTF-8"};
    i += length;
  }
  return std::nullopt;
}

}  // namespace

YamlDocuments ParseYaml(std::string_view text) {
  YamlDocuments result;
  if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
  result.error = CheckBytes(text);
  if (result.error) return result;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(&result.documents);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    result.error = YamlError{error.mark.is_null() ? 1 : error.mark.line + 1, error.msg};
  }
  return result;
}

std::string YamlString(std::string_view text) {
  const auto is_word = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '/' ||
           c == '.';
  };
  static constexpr std::string_view kReserved[] = {"true", "false", "null", "yes", "no", "on",
                                                   "off",  "nan",   "inf",  "y",   "n"};
  const std::string lower = absl::AsciiStrToLower(std::string(text));
  const bool reserved =
      std::find(std::begin(kReserved), std::end(kReserved), lower) != std::end(kReserved);
  const bool word_first =
      !text.empty() && (absl::ascii_isalpha(static_cast<unsigned char>(text.front())) ||
                        text.front() == '/' || text.front() == '_');
  if (word_first && !reserved && std::all_of(text.begin(), text.end(), is_word)) {
    return std::string(text);
  }
  std::string quoted = "\"";
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    const size_t length = byte < 0x80 ? 1 : log::Utf8Length(text.substr(i));
    // U+0080 to U+009F, which terminals obey too.
    const bool is_c1 =
        length == 2 && byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (byte < 0x20 || byte == 0x7f || length == 0) {
      quoted += "\\x" + absl::StrCat(absl::Hex(byte, absl::kZeroPad2));
    } else if (is_c1) {
      const auto code = static_cast<unsigned char>(text[i + 1]);
      quoted += "\\x" + absl::StrCat(absl::Hex(code, absl::kZeroPad2));
    } else {
      quoted += text.substr(i, length);
    }
    i += std::max<size_t>(length, 1);
  }
  return quoted + "\"";
}

}  // namespace g2ll::spec
