#ifndef CLIENT_CLI_JOB_TABLE_H_
#define CLIENT_CLI_JOB_TABLE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "g2ll/v1/job.pb.h"
#include "google/protobuf/timestamp.pb.h"

// How jobs and times stand in tables.
namespace g2ll::cli {

std::vector<std::string> JobHeader(bool all_projects);
// `now` is what the age is counted to.
std::vector<std::string> JobRow(const v1::Job& job, bool all_projects, absl::Time now);

absl::Time ToTime(const google::protobuf::Timestamp& time);
// In the local time zone; `-` where it is not set.
std::string TimeText(const google::protobuf::Timestamp& time, bool is_set);
// `2026-01-02 03:04:05 (in 5m)`; `now` where it has passed.
std::string FutureText(const google::protobuf::Timestamp& time, absl::Time now);

// `NON_FINITE, rank 1 on w2, exit code 79: the loss is NaN`.
std::string FailureText(const v1::Failure& failure);
// The failure of the newest attempt that has one; null if none has.
const v1::Failure* LastFailure(const v1::Job& job);

// The state that a user writes in any case; nothing if there is none such.
std::optional<v1::Job::State> ParseState(const std::string& text);
// Says which states there are.
absl::Status BadState(const std::string& text);
// Names of all states, in the order of a job's life.
std::vector<std::string> StateNames();

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_JOB_TABLE_H_
