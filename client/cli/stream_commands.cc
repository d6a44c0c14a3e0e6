#include <CLI/CLI.hpp>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/json_printer.h"
#include "proto/common/spec_field.h"

namespace g2ll::cli {
namespace {

struct MetricsOptions {
  std::string job;
  bool follow = false;
  std::vector<std::string> names;
  int64_t from_seq = 0;
  int attempt = 0;
};

struct LogsOptions {
  std::string job;
  bool follow = false;
  int rank = 0;
  bool has_rank = false;
  int tail = 0;
  int64_t from_seq = 0;
  int attempt = 0;
};

std::string ClockText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%H:%M:%E3S",
                          absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()),
                          absl::LocalTimeZone());
}

void PrintPoint(Context& context, const v1::MetricPoint& point) {
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    context.PrintJson(ToJson(point), /*one_line=*/true);
    return;
  }
  context.PrintRow(
      {absl::StrCat(point.seq()), absl::StrCat(point.attempt()), absl::StrCat(point.step()),
       absl::StrFormat("%.2f", point.epoch()), point.name(), spec::NumberText(point.value()),
       point.superseded() ? "superseded" : ""},
      {7, 3, 7, 8, 20, 20, 0});
}

void PrintLine(Context& context, const v1::LogLine& line) {
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    context.PrintJson(ToJson(line), /*one_line=*/true);
    return;
  }
  const std::string who = line.rank() < 0 ? "agent" : absl::StrCat("rank ", line.rank());
  context.Print(absl::StrCat(ClockText(line.time()), " ", who, " | ", line.message()));
}

// How to go on behind the last row that was printed.
std::string ComeBack(const char* command, const std::string& name, int64_t last_seq) {
  return absl::StrCat("g2ll ", command, " -f ", name,
                      last_seq > 0 ? absl::StrCat(" --from-seq ", last_seq + 1) : "");
}

// How a stream of a job ended. Following ends with 0 however the job did.
int FinishStream(Context& context, const char* command, const std::string& name,
                 const absl::StatusOr<v1::End>& end, bool follow, int64_t last_seq) {
  if (end.ok()) {
    if (follow) context.Say(absl::StrCat(name, " is ", end->state()));
    return kDone;
  }
  if (absl::IsCancelled(end.status())) {
    if (follow) {
      context.Say(
          absl::StrCat("detached; the job goes on. Come back: ", ComeBack(command, name, last_seq),
                       "   cancel it: g2ll cancel ", name));
    }
    return kInterrupted;
  }
  if (follow && absl::IsDeadlineExceeded(end.status())) {
    context.Say(absl::StrCat("time ran out; the job goes on. Come back: ",
                             ComeBack(command, name, last_seq)));
    return kTimedOut;
  }
  const int code = context.Fail(end.status());
  if (code == kUnreachable && last_seq > 0) {
    context.Say(absl::StrCat("  go on later: ", ComeBack(command, name, last_seq)));
  }
  return code;
}

std::function<void(const v1::Gap&)> TellGap(Context& context) {
  return [&context](const v1::Gap& gap) {
    context.Say(
        absl::StrCat("numbers ", gap.first_seq(), " to ", gap.last_seq(), " are no longer kept"));
  };
}

int Metrics(Context& context, const MetricsOptions& options) {
  const auto full = context.FullName(options.job);
  if (!full.ok()) return context.Fail(full.status());
  v1::StreamMetricsRequest request;
  request.set_job(*full);
  request.set_from_seq(options.from_seq);
  request.set_follow(options.follow);
  request.set_attempt(options.attempt);
  request.mutable_names()->Add(options.names.begin(), options.names.end());
  int64_t last_seq = 0;
  const auto end = context.client().StreamMetrics(
      request,
      [&](const v1::MetricPoint& point) {
        PrintPoint(context, point);
        last_seq = point.seq();
      },
      TellGap(context), context.Control());
  return FinishStream(context, "metrics", ShortName(*full), end, options.follow, last_seq);
}

int Logs(Context& context, const LogsOptions& options) {
  const auto full = context.FullName(options.job);
  if (!full.ok()) return context.Fail(full.status());
  v1::StreamLogsRequest request;
  request.set_job(*full);
  request.set_from_seq(options.from_seq);
  request.set_follow(options.follow);
  request.set_attempt(options.attempt);
  request.set_tail(options.tail);
  if (options.has_rank) request.set_rank(options.rank);
  int64_t last_seq = 0;
  const auto end = context.client().StreamLogs(
      request,
      [&](const v1::LogLine& line) {
        PrintLine(context, line);
        last_seq = line.seq();
      },
      TellGap(context), context.Control());
  return FinishStream(context, "logs", ShortName(*full), end, options.follow, last_seq);
}

int Watch(Context& context, const std::string& job) {
  const auto full = context.FullName(job);
  if (!full.ok()) return context.Fail(full.status());
  if (context.format() == Format::kTable) {
    return FollowJob(context, *full, *context.env.out, context.env.out_is_terminal);
  }
  v1::Job last;
  const absl::Status status = context.client().WatchJob(
      *full,
      [&](const v1::Job& changed) {
        last = changed;
        if (context.format() == Format::kName) {
          context.Print(absl::StrCat(changed.name(), " ", v1::Job::State_Name(changed.state())));
        } else {
          context.PrintJson(JobJson(changed), /*one_line=*/true);
        }
        return true;
      },
      context.Control());
  if (absl::IsCancelled(status)) {
    context.Say(
        absl::StrCat("detached; the job goes on. Come back: g2ll watch ", ShortName(*full)));
    return kInterrupted;
  }
  return status.ok() ? ExitCodeOf(last.state()) : context.Fail(status);
}

}  // namespace

void AddStreamCommands(CLI::App& app, Context& context, Action& action) {
  CLI::App* watch = app.add_subcommand("watch", "Show a job live until it has ended");
  const auto watched = std::make_shared<std::string>();
  watch->add_option("job", *watched, "Name of the job")->required();
  watch->callback([&context, &action, watched] {
    action = [&context, watched] { return Watch(context, *watched); };
  });

  CLI::App* metrics = app.add_subcommand("metrics", "Print a job's metrics");
  const auto metrics_options = std::make_shared<MetricsOptions>();
  metrics->add_option("job", metrics_options->job, "Name of the job")->required();
  metrics->add_flag("-f,--follow", metrics_options->follow, "Go on until the job has ended");
  metrics
      ->add_option("--name", metrics_options->names,
                   "Only this metric, for example loss; may be repeated")
      ->allow_extra_args(false);
  metrics->add_option("--from-seq", metrics_options->from_seq, "First number; 0 is all")
      ->check(CLI::NonNegativeNumber);
  metrics->add_option("--attempt", metrics_options->attempt, "Only this attempt; 0 is all")
      ->check(CLI::NonNegativeNumber);
  metrics->callback([&context, &action, metrics_options] {
    action = [&context, metrics_options] { return Metrics(context, *metrics_options); };
  });

  CLI::App* logs = app.add_subcommand("logs", "Print a job's log lines");
  const auto logs_options = std::make_shared<LogsOptions>();
  logs->add_option("job", logs_options->job, "Name of the job")->required();
  logs->add_flag("-f,--follow", logs_options->follow, "Go on until the job has ended");
  CLI::Option* rank = logs->add_option("--rank", logs_options->rank, "Only this rank");
  CLI::Option* tail =
      logs->add_option("--tail", logs_options->tail, "Only so many lines of the end")
          ->check(CLI::PositiveNumber);
  logs->add_option("--from-seq", logs_options->from_seq, "First number; 0 is all")
      ->check(CLI::NonNegativeNumber)
      ->excludes(tail);
  logs->add_option("--attempt", logs_options->attempt, "Only this attempt; 0 is all")
      ->check(CLI::NonNegativeNumber);
  logs->callback([&context, &action, logs_options, rank] {
    logs_options->has_rank = rank->count() > 0;
    action = [&context, logs_options] { return Logs(context, *logs_options); };
  });
}

}  // namespace g2ll::cli
