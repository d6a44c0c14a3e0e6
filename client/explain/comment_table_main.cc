// Writes comment_table.cc out of descriptors with source information:
// g2ll_comment_table DESCRIPTORS OUTPUT. Runs while the program is built.
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"

namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;

// Comments by full name, in the order that the table is searched in.
using Comments = std::map<std::string, std::string>;

template <typename Thing>
void Add(const Thing* thing, Comments* comments) {
  google::protobuf::SourceLocation location;
  if (!thing->GetSourceLocation(&location)) return;
  std::istringstream words(location.leading_comments);
  std::string text;
  for (std::string word; words >> word;) text += (text.empty() ? "" : " ") + word;
  if (!text.empty()) (*comments)[thing->full_name()] = text;
}

void AddEnum(const EnumDescriptor* type, Comments* comments) {
  Add(type, comments);
  for (int i = 0; i < type->value_count(); ++i) {
    // Values are siblings of their type by name, which two enums could share.
    Comments one;
    Add(type->value(i), &one);
    for (const auto& [name, text] : one) {
      (*comments)[type->full_name() + "." + type->value(i)->name()] = text;
    }
  }
}

void AddMessage(const Descriptor* type, Comments* comments) {
  Add(type, comments);
  for (int i = 0; i < type->field_count(); ++i) Add(type->field(i), comments);
  for (int i = 0; i < type->enum_type_count(); ++i) AddEnum(type->enum_type(i), comments);
  for (int i = 0; i < type->nested_type_count(); ++i) AddMessage(type->nested_type(i), comments);
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

void Write(const Comments& comments, std::ostream& out) {
  out << "// Generated out of the comments of the .proto files; do not edit.\n"
         "#include \"client/explain/comment_table.h\"\n\n"
         "#include <algorithm>\n#include <array>\n#include <utility>\n\n"
         "namespace g2ll::explain {\nnamespace {\n\n"
         "using Entry = std::pair<std::string_view, std::string_view>;\n\n"
      << "constexpr std::array<Entry, " << comments.size() << "> kComments = {{\n";
  for (const auto& [name, text] : comments) {
    out << "    {" << Quoted(name) << ",\n     " << Quoted(text) << "},\n";
  }
  out << "}};\n\n}  // namespace\n\n"
         "std::string_view CommentOf(std::string_view full_name) {\n"
         "  const auto found = std::lower_bound(\n"
         "      kComments.begin(), kComments.end(), full_name,\n"
         "      [](const Entry& entry, std::string_view name) { return entry.first < name; });\n"
         "  return found != kComments.end() && found->first == full_name ? found->second : \"\";\n"
         "}\n\n}  // namespace g2ll::explain\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: g2ll_comment_table DESCRIPTORS OUTPUT\n";
    return 2;
  }
  std::ifstream in(argv[1], std::ios::binary);
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromIstream(&in)) {
    std::cerr << argv[1] << ": no descriptors\n";
    return 1;
  }
  google::protobuf::DescriptorPool pool;
  Comments comments;
  for (const auto& file : set.file()) {
    const auto* built = pool.BuildFile(file);
    if (built == nullptr) {
      std::cerr << file.name() << ": cannot be understood\n";
      return 1;
    }
    if (built->package() != "g2ll.v1") continue;
    for (int i = 0; i < built->message_type_count(); ++i) {
      AddMessage(built->message_type(i), &comments);
    }
    for (int i = 0; i < built->enum_type_count(); ++i) AddEnum(built->enum_type(i), &comments);
  }
  std::ofstream out(argv[2]);
  Write(comments, out);
  out.flush();
  if (!out) {
    std::cerr << argv[2] << ": cannot be written\n";
    return 1;
  }
  return 0;
}
