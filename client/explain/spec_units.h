#ifndef CLIENT_EXPLAIN_SPEC_UNITS_H_
#define CLIENT_EXPLAIN_SPEC_UNITS_H_

#include <string_view>

namespace g2ll::explain {

// What the numbers at `path` below `spec` count, for example `images`; `none` where a
// number has no unit; empty for what is no number.
std::string_view UnitOf(std::string_view path);

}  // namespace g2ll::explain

#endif  // CLIENT_EXPLAIN_SPEC_UNITS_H_
