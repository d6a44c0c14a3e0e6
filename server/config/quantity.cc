#include "server/config/quantity.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace g2ll::config {
namespace {

constexpr char kNone[] = "none";
constexpr int64_t kMostDays = 36500;

// The number before `unit`; nothing if `text` does not end with it.
std::optional<int64_t> NumberBefore(const std::string& text, const std::string& unit) {
  int64_t number = 0;
  if (!absl::EndsWith(text, unit) ||
      !absl::SimpleAtoi(text.substr(0, text.size() - unit.size()), &number) || number <= 0) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

std::optional<absl::Duration> ParseAge(const std::string& text) {
  if (text == kNone) {
    return absl::InfiniteDuration();
  }
  if (const std::optional<int64_t> days = NumberBefore(text, "d"); days.has_value()) {
    return *days <= kMostDays ? std::optional(absl::Hours(24) * *days) : std::nullopt;
  }
  absl::Duration duration;
  const bool is_usable = absl::ParseDuration(text, &duration) && duration > absl::ZeroDuration() &&
                         duration <= absl::Hours(24) * kMostDays;
  return is_usable ? std::optional(duration) : std::nullopt;
}

std::optional<int64_t> ParseBytes(const std::string& text) {
  if (text == kNone) {
    return 0;
  }
  for (const auto& [unit, shift] :
       {std::pair("KiB", 10), std::pair("MiB", 20), std::pair("GiB", 30), std::pair("TiB", 40)}) {
    const std::optional<int64_t> number = NumberBefore(text, unit);
    if (number.has_value()) {
      return *number <= (INT64_MAX >> shift) ? std::optional(*number << shift) : std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<int64_t> ParseCount(const std::string& text) {
  return text == kNone ? std::optional<int64_t>(0) : NumberBefore(text, "");
}

}  // namespace g2ll::config
