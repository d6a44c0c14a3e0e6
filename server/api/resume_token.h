#ifndef SERVER_API_RESUME_TOKEN_H_
#define SERVER_API_RESUME_TOKEN_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace g2ll::api {

// How far a watcher of jobs has read.
struct WatchPosition {
  // Every change up to here was sent, or is of a job that comes yet.
  int64_t seq = 0;
  // While all jobs are being sent: uid of the last one. Then empty.
  std::string uid;

  bool operator==(const WatchPosition&) const = default;
};

// The token that goes on behind `position`. `scope` is what is watched; a token fits no
// other scope.
std::string ResumeToken(const WatchPosition& position, std::string_view scope);
// Error: InvalidArgument BAD_RESUME_TOKEN.
absl::StatusOr<WatchPosition> ReadResumeToken(std::string_view token, std::string_view scope);

}  // namespace g2ll::api

#endif  // SERVER_API_RESUME_TOKEN_H_
