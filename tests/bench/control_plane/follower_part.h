#ifndef TESTS_BENCH_CONTROL_PLANE_FOLLOWER_PART_H_
#define TESTS_BENCH_CONTROL_PLANE_FOLLOWER_PART_H_

#include <string>

namespace g2ll::bench {

// First argument with which the program follows a job in place of measuring, then
// FollowUntilKilled's arguments.
inline constexpr char kFollowMode[] = "--follow-until-killed";

// Follows a job with `count` streams and writes a byte to `ready_fd` once each has a
// point. Returns only if it cannot.
int FollowUntilKilled(const std::string& address, const std::string& job, int count, int ready_fd);

}  // namespace g2ll::bench

#endif  // TESTS_BENCH_CONTROL_PLANE_FOLLOWER_PART_H_
