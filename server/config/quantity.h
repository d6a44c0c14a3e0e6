#ifndef SERVER_CONFIG_QUANTITY_H_
#define SERVER_CONFIG_QUANTITY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace g2ll::config {

// A length of time such as `90d` or `36h`; `none` is infinite. Nothing if it is no such
// text, or not above zero.
std::optional<absl::Duration> ParseAge(const std::string& text);

// A number of bytes such as `512MiB` or `1GiB`; `none` is 0.
std::optional<int64_t> ParseBytes(const std::string& text);

// A number above zero; `none` is 0.
std::optional<int64_t> ParseCount(const std::string& text);

}  // namespace g2ll::config

#endif  // SERVER_CONFIG_QUANTITY_H_
