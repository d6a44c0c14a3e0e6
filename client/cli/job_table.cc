#include "client/cli/job_table.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/context.h"
#include "client/cli/progress_model.h"

namespace g2ll::cli {
namespace {

std::string LocalText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone());
}

}  // namespace

std::vector<std::string> JobHeader(bool all_projects) {
  std::vector<std::string> header = {"NAME", "KIND", "STATE", "STEP", "RANKS", "AGE", "REASON"};
  if (all_projects) header.insert(header.begin(), "PROJECT");
  return header;
}

std::vector<std::string> JobRow(const v1::Job& job, bool all_projects, absl::Time now) {
  const v1::Progress& progress = job.progress();
  const std::string step =
      progress.total_steps() > 0 ? absl::StrCat(progress.step(), "/", progress.total_steps()) : "-";
  const std::string ranks =
      job.attempts_size() > 0 ? absl::StrCat(job.attempts().rbegin()->world_size()) : "-";
  const absl::Duration age = now - ToTime(job.create_time());
  std::vector<std::string> row = {ShortName(job.name()),
                                  job.kind(),
                                  v1::Job::State_Name(job.state()),
                                  step,
                                  ranks,
                                  ShortDuration(age),
                                  job.state_reason().code()};
  if (all_projects) row.insert(row.begin(), ProjectOf(job.name()));
  return row;
}

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string TimeText(const google::protobuf::Timestamp& time, bool is_set) {
  return is_set ? LocalText(ToTime(time)) : "-";
}

std::string FutureText(const google::protobuf::Timestamp& time, absl::Time now) {
  const absl::Time when = ToTime(time);
  if (when <= now) return "now";
  return absl::StrCat(LocalText(when), " (in ", ShortDuration(when - now), ")");
}

std::string FailureText(const v1::Failure& failure) {
  std::string text = v1::Failure::Class_Name(failure.class_());
  if (failure.rank() >= 0) absl::StrAppend(&text, ", rank ", failure.rank());
  if (!failure.worker().empty()) absl::StrAppend(&text, " on ", failure.worker());
  if (failure.signal() != 0) absl::StrAppend(&text, ", signal ", failure.signal());
  if (failure.exit_code() != 0) absl::StrAppend(&text, ", exit code ", failure.exit_code());
  return absl::StrCat(text, ": ", failure.message());
}

const v1::Failure* LastFailure(const v1::Job& job) {
  for (auto attempt = job.attempts().rbegin(); attempt != job.attempts().rend(); ++attempt) {
    if (attempt->has_failure()) return &attempt->failure();
  }
  return nullptr;
}

std::optional<v1::Job::State> ParseState(const std::string& text) {
  v1::Job::State state = v1::Job::STATE_UNSPECIFIED;
  if (!v1::Job::State_Parse(absl::AsciiStrToUpper(text), &state)) return std::nullopt;
  if (state == v1::Job::STATE_UNSPECIFIED) return std::nullopt;
  return state;
}

std::vector<std::string> StateNames() {
  std::vector<std::string> names;
  const auto* type = v1::Job::State_descriptor();
  for (int i = 0; i < type->value_count(); ++i) {
    if (type->value(i)->number() != 0) names.push_back(type->value(i)->name());
  }
  return names;
}

absl::Status BadState(const std::string& text) {
  return absl::InvalidArgumentError(
      absl::StrCat("state: given ", text, ", allowed: one of ", absl::StrJoin(StateNames(), " ")));
}

}  // namespace g2ll::cli
