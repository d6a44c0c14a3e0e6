#include "server/wire/time_wire.h"

#include <algorithm>
#include <cstdint>

namespace g2ll::wire {
namespace {

constexpr int64_t kFirstSecond = -62135596800;  // Year 1.
constexpr int64_t kLastSecond = 253402300799;   // Year 9999.

}  // namespace

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp proto;
  const absl::Time bounded =
      std::clamp(time, absl::FromUnixSeconds(kFirstSecond), absl::FromUnixSeconds(kLastSecond));
  const int64_t seconds = absl::ToUnixSeconds(bounded);
  proto.set_seconds(seconds);
  // Whole microseconds, which is what the store keeps: a value that a follower sees
  // before it is stored must not differ from the same value read later.
  const int64_t micros = absl::ToInt64Microseconds(bounded - absl::FromUnixSeconds(seconds));
  proto.set_nanos(static_cast<int32_t>(micros * 1000));
  return proto;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  const absl::Duration bounded =
      std::clamp(duration, absl::Seconds(-kLastSecond), absl::Seconds(kLastSecond));
  const int64_t seconds = absl::ToInt64Seconds(bounded);
  proto.set_seconds(seconds);
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(bounded - absl::Seconds(seconds))));
  return proto;
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(std::clamp(time.seconds(), kFirstSecond, kLastSecond)) +
         absl::Nanoseconds(time.nanos());
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(std::clamp(duration.seconds(), -kLastSecond, kLastSecond)) +
         absl::Nanoseconds(duration.nanos());
}

}  // namespace g2ll::wire
