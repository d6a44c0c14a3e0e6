#ifndef CLIENT_EXPLAIN_COMMENT_TABLE_H_
#define CLIENT_EXPLAIN_COMMENT_TABLE_H_

#include <string_view>

namespace g2ll::explain {

// The comment that stands above a field, an enum value or a message of the spec in its
// .proto file, as one line, by its full name (`g2ll.v1.MaskSpec.gamma`); empty if there
// is none. Generated when the program is built. Thread safe.
std::string_view CommentOf(std::string_view full_name);

}  // namespace g2ll::explain

#endif  // CLIENT_EXPLAIN_COMMENT_TABLE_H_
