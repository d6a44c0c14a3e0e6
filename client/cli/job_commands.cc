#include <CLI/CLI.hpp>

#include <map>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/api/stream_reader.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/json_printer.h"
#include "client/cli/progress_model.h"
#include "proto/common/spec_field.h"
#include "proto/common/spec_yaml.h"

namespace g2ll::cli {
namespace {

using nlohmann::ordered_json;

constexpr absl::Duration kListInterval = absl::Seconds(1);

struct ListOptions {
  std::string state;
  std::vector<std::string> labels;
  bool watch = false;
};

std::string TimeText(const google::protobuf::Timestamp& time, bool is_set) {
  if (!is_set) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixSeconds(time.seconds()),
                          absl::LocalTimeZone());
}

// The state that a user writes in any case; nothing if there is none such.
std::optional<v1::Job::State> ParseState(const std::string& text) {
  v1::Job::State state = v1::Job::STATE_UNSPECIFIED;
  if (!v1::Job::State_Parse(absl::AsciiStrToUpper(text), &state)) return std::nullopt;
  if (state == v1::Job::STATE_UNSPECIFIED) return std::nullopt;
  return state;
}

absl::Status BadState(const std::string& text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "state: given ", text,
      ", allowed: one of PENDING STARTING RUNNING PREEMPTING RECOVERING PAUSING PAUSED CANCELLING "
      "SUCCEEDED FAILED CANCELLED"));
}

std::vector<std::string> JobHeader() {
  return {"NAME", "KIND", "STATE", "STEP", "RANKS", "AGE", "REASON"};
}

std::vector<std::string> JobRow(const v1::Job& job) {
  const v1::Progress& progress = job.progress();
  const std::string step =
      progress.total_steps() > 0 ? absl::StrCat(progress.step(), "/", progress.total_steps()) : "-";
  const std::string ranks =
      job.attempts_size() > 0 ? absl::StrCat(job.attempts().rbegin()->world_size()) : "-";
  const absl::Duration age = absl::Now() - absl::FromUnixSeconds(job.create_time().seconds());
  return {ShortName(job.name()),
          job.kind(),
          v1::Job::State_Name(job.state()),
          step,
          ranks,
          ShortDuration(age),
          job.state_reason().code()};
}

int List(Context& context, const ListOptions& options) {
  v1::ListJobsRequest request;
  request.set_parent(absl::StrCat("projects/", context.project));
  if (!options.state.empty()) {
    const auto state = ParseState(options.state);
    if (!state) return context.Fail(BadState(options.state));
    request.set_state(*state);
  }
  for (const std::string& label : options.labels) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(label, absl::MaxSplits('=', 1));
    if (pair.first.empty() || label.find('=') == std::string::npos) {
      return context.Fail(absl::InvalidArgumentError(
          absl::StrCat("--label: given ", label, ", allowed: KEY=VALUE")));
    }
    (*request.mutable_labels())[pair.first] = pair.second;
  }
  std::map<std::string, std::string> shown;  // etag by uid
  do {
    const auto jobs = context.client().ListJobs(request);
    if (!jobs.ok()) return context.Fail(jobs.status());
    ordered_json array = ordered_json::array();
    Table table(JobHeader());
    for (const v1::Job& job : *jobs) {
      if (options.watch && std::exchange(shown[job.uid()], job.etag()) == job.etag()) continue;
      switch (context.format()) {
        case Format::kJson:
        case Format::kYaml:
          options.watch ? context.PrintJson(JobJson(job), true) : array.push_back(JobJson(job));
          break;
        case Format::kName:
          context.Print(job.name());
          break;
        case Format::kTable:
          if (options.watch) {
            context.PrintRow(JobRow(job), {24, 12, 10, 12, 5, 8, 0});
          } else {
            table.Add(JobRow(job));
          }
          break;
      }
    }
    if (!options.watch && context.format() == Format::kTable) {
      jobs->empty() ? context.Say("no jobs") : context.PrintTable(table);
    }
    if (!options.watch &&
        (context.format() == Format::kJson || context.format() == Format::kYaml)) {
      context.PrintJson(array, false);
    }
  } while (options.watch && !client::SleepUnlessStopped(kListInterval, context.env.stop));
  return options.watch ? kInterrupted : kDone;
}

int Get(Context& context, const std::string& name) {
  const auto full = context.FullName(name);
  if (!full.ok()) return context.Fail(full.status());
  const auto job = context.client().GetJob(*full);
  if (!job.ok()) return context.Fail(job.status());
  switch (context.format()) {
    case Format::kJson:
    case Format::kYaml:
      context.PrintJson(JobJson(*job), false);
      break;
    case Format::kName:
      context.Print(job->name());
      break;
    case Format::kTable: {
      Table table(JobHeader());
      table.Add(JobRow(*job));
      context.PrintTable(table);
    }
  }
  return kDone;
}

void PrintHeading(Context& context, const std::string& text) {
  context.Print("");
  context.Print(text);
}

void DescribeAttempts(Context& context, const v1::Job& job) {
  if (job.attempts_size() == 0) return;
  PrintHeading(context, "Attempts:");
  Table table({"NUMBER", "STATE", "OUTCOME", "RANKS", "WORKERS", "START", "END", "FAILURE"});
  for (const v1::Attempt& attempt : job.attempts()) {
    const bool has_outcome = attempt.outcome() != v1::Attempt::OUTCOME_UNSPECIFIED;
    table.Add({absl::StrCat(attempt.number()), v1::Attempt::State_Name(attempt.state()),
               has_outcome ? v1::Attempt::Outcome_Name(attempt.outcome()) : "-",
               absl::StrCat(attempt.world_size()), absl::StrJoin(attempt.workers(), ","),
               TimeText(attempt.start_time(), attempt.has_start_time()),
               TimeText(attempt.end_time(), attempt.has_end_time()),
               attempt.has_failure()
                   ? absl::StrCat(v1::Failure::Class_Name(attempt.failure().class_()), ": ",
                                  attempt.failure().message())
                   : "-"});
  }
  context.PrintTable(table);
}

void DescribeText(Context& context, const v1::Job& job,
                  const std::vector<v1::Checkpoint>& checkpoints) {
  Table head({"Name:", job.name()});
  head.Add({"UID:", job.uid()});
  head.Add({"Kind:", job.kind()});
  head.Add({"State:", v1::Job::State_Name(job.state())});
  if (!job.state_reason().code().empty()) {
    head.Add(
        {"Reason:", absl::StrCat(job.state_reason().code(), ": ", job.state_reason().message())});
  }
  head.Add({"Created:", TimeText(job.create_time(), job.has_create_time())});
  head.Add({"Started:", TimeText(job.start_time(), job.has_start_time())});
  head.Add({"Ended:", TimeText(job.end_time(), job.has_end_time())});
  head.Add({"Progress:", absl::StrCat(job.progress().step(), "/", job.progress().total_steps(),
                                      " steps, epoch ", spec::NumberText(job.progress().epoch()))});
  if (!job.best_metric().name().empty()) {
    head.Add({"Best:", absl::StrCat(job.best_metric().name(), " ",
                                    spec::NumberText(job.best_metric().value()), " at step ",
                                    job.best_metric().step())});
  }
  context.PrintTable(head);
  for (const auto& [name, value] :
       std::map<std::string, double>(job.metrics().begin(), job.metrics().end())) {
    context.Print(absl::StrCat("  ", name, " ", spec::NumberText(value)));
  }
  DescribeAttempts(context, job);
  if (!checkpoints.empty()) {
    PrintHeading(context, "Checkpoints:");
    Table table({"ID", "STEP", "STATE", "BEST"});
    for (const v1::Checkpoint& checkpoint : checkpoints) {
      table.Add({checkpoint.id(), absl::StrCat(checkpoint.step()),
                 v1::Checkpoint::State_Name(checkpoint.state()), checkpoint.best() ? "yes" : "-"});
    }
    context.PrintTable(table);
  }
  if (job.events_size() > 0) {
    PrintHeading(context, "Events:");
    Table table({"TIME", "ACTOR", "TYPE", "MESSAGE"});
    for (const v1::JobEvent& event : job.events()) {
      table.Add(
          {TimeText(event.time(), event.has_time()), event.actor(), event.type(), event.message()});
    }
    context.PrintTable(table);
  }
  PrintHeading(context, "Spec:");
  *context.env.out << spec::FormatJobFile(ShortName(job.name()), ProjectOf(job.name()),
                                          {job.labels().begin(), job.labels().end()}, job.spec())
                   << std::flush;
}

int Describe(Context& context, const std::string& name) {
  const auto full = context.FullName(name);
  if (!full.ok()) return context.Fail(full.status());
  const auto job = context.client().GetJob(*full, v1::FULL);
  if (!job.ok()) return context.Fail(job.status());
  const auto checkpoints = context.client().ListCheckpoints(*full);
  if (!checkpoints.ok()) return context.Fail(checkpoints.status());
  switch (context.format()) {
    case Format::kName:
      context.Print(job->name());
      break;
    case Format::kTable:
      DescribeText(context, *job, *checkpoints);
      break;
    case Format::kJson:
    case Format::kYaml: {
      ordered_json json = JobJson(*job);
      json["checkpoints"] = ordered_json::array();
      for (const v1::Checkpoint& checkpoint : *checkpoints) {
        json["checkpoints"].push_back(ToJson(checkpoint));
      }
      context.PrintJson(json, false);
    }
  }
  return kDone;
}

int Why(Context& context, const std::string& name) {
  const auto full = context.FullName(name);
  if (!full.ok()) return context.Fail(full.status());
  const auto job = context.client().GetJob(*full);
  if (!job.ok()) return context.Fail(job.status());
  const v1::Attempt* last = job->attempts_size() > 0 ? &*job->attempts().rbegin() : nullptr;
  const bool has_failure = last != nullptr && last->has_failure();
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    const ordered_json whole = JobJson(*job);
    ordered_json json;
    for (const char* key : {"name", "state", "stateReason"}) json[key] = whole[key];
    json["failure"] = has_failure ? ToJson(last->failure()) : ordered_json();
    context.PrintJson(json, false);
    return kDone;
  }
  const std::string code = job->state_reason().code();
  context.Print(absl::StrCat(ShortName(job->name()), " is ", v1::Job::State_Name(job->state()),
                             code.empty() ? "" : ": ", code, code.empty() ? "" : ": ",
                             job->state_reason().message()));
  if (has_failure) {
    const v1::Failure& failure = last->failure();
    std::string line =
        absl::StrCat("attempt ", last->number(), ": ", v1::Failure::Class_Name(failure.class_()));
    if (failure.rank() >= 0) absl::StrAppend(&line, ", rank ", failure.rank());
    if (!failure.worker().empty()) absl::StrAppend(&line, " on ", failure.worker());
    if (failure.signal() != 0) absl::StrAppend(&line, ", signal ", failure.signal());
    if (failure.exit_code() != 0) absl::StrAppend(&line, ", exit code ", failure.exit_code());
    context.Print(absl::StrCat(line, ": ", failure.message()));
  }
  return kDone;
}

int Cancel(Context& context, const std::string& name, const std::string& reason) {
  const auto full = context.FullName(name);
  if (!full.ok()) return context.Fail(full.status());
  const auto job = context.client().CancelJob(*full, reason);
  if (!job.ok()) return context.Fail(job.status());
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    context.PrintJson(JobJson(*job), false);
  } else if (context.format() == Format::kName) {
    context.Print(job->name());
  } else {
    context.Print(absl::StrCat(job->name(), " ", v1::Job::State_Name(job->state())));
  }
  return kDone;
}

int Delete(Context& context, const std::string& name) {
  const auto full = context.FullName(name);
  if (!full.ok()) return context.Fail(full.status());
  const absl::Status status = context.client().DeleteJob(*full);
  if (!status.ok()) return context.Fail(status);
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    context.PrintJson({{"name", *full}, {"deleted", true}}, false);
  } else {
    context.Print(*full);
  }
  return kDone;
}

// A command with one job as its argument.
std::shared_ptr<std::string> AddJobCommand(CLI::App& app, const std::string& name,
                                           const std::string& help, CLI::App** command) {
  *command = app.add_subcommand(name, help);
  const auto job = std::make_shared<std::string>();
  (*command)->add_option("job", *job, "Name of the job")->required();
  return job;
}

void AddWait(CLI::App& app, Context& context, Action& action) {
  struct WaitOptions {
    std::string state;
    std::string timeout;
  };
  CLI::App* command = nullptr;
  const auto job = AddJobCommand(app, "wait", "Wait until a job has ended", &command);
  const auto options = std::make_shared<WaitOptions>();
  command->add_option("--for", options->state, "Wait for this state instead");
  command->add_option("--timeout", options->timeout, "Give up after this time, for example 10m");
  command->callback([&context, &action, job, options] {
    action = [&context, job, options] {
      const auto full = context.FullName(*job);
      if (!full.ok()) return context.Fail(full.status());
      const std::optional<v1::Job::State> state = ParseState(options->state);
      if (!options->state.empty() && !state) return context.Fail(BadState(options->state));
      absl::Duration timeout = absl::InfiniteDuration();
      if (!options->timeout.empty() &&
          (!absl::ParseDuration(options->timeout, &timeout) || timeout < absl::ZeroDuration())) {
        return context.Fail(absl::InvalidArgumentError(absl::StrCat(
            "--timeout: given ", options->timeout, ", allowed: a duration such as 30s or 10m")));
      }
      return WaitForJob(context, *full, state, timeout);
    };
  });
}

}  // namespace

int WaitForJob(Context& context, const std::string& full_name, std::optional<v1::Job::State> state,
               absl::Duration timeout) {
  v1::Job last;
  client::StreamControl control = context.Control();
  if (timeout != absl::InfiniteDuration()) control.deadline = absl::Now() + timeout;
  const absl::Status status = context.client().WatchJob(
      full_name,
      [&](const v1::Job& job) {
        last = job;
        return !state || job.state() != *state;
      },
      control);
  const std::string name = ShortName(full_name);
  if (absl::IsDeadlineExceeded(status)) {
    context.Say(
        absl::StrCat("g2ll: ", name, " is ", v1::Job::State_Name(last.state()), "; time ran out"));
    return kTimedOut;
  }
  if (absl::IsCancelled(status)) {
    context.Say(absl::StrCat("detached; ", name, " goes on. Come back: g2ll watch ", name));
    return kInterrupted;
  }
  if (!status.ok()) return context.Fail(status);
  context.Say(absl::StrCat(name, " is ", v1::Job::State_Name(last.state())));
  if (!state) return ExitCodeOf(last.state());
  if (last.state() == *state) return kDone;
  // It ended elsewhere. A success passed through RUNNING, but never through FAILED.
  const int code = ExitCodeOf(last.state());
  const bool was_passed = *state != v1::Job::FAILED && *state != v1::Job::CANCELLED;
  return code == kDone && !was_passed ? kFailed : code;
}

void AddJobCommands(CLI::App& app, Context& context, Action& action) {
  const auto list_options = std::make_shared<ListOptions>();
  CLI::App* list = app.add_subcommand("list", "List jobs, newest first");
  list->add_option("--state", list_options->state, "Only jobs in this state");
  list->add_option("-l,--label", list_options->labels, "Only jobs with this label, KEY=VALUE")
      ->allow_extra_args(false);
  list->add_flag("--watch", list_options->watch, "Go on, with a line for every change");
  list->callback([&context, &action, list_options] {
    action = [&context, list_options] { return List(context, *list_options); };
  });

  CLI::App* command = nullptr;
  const auto add = [&](const char* name, const char* help,
                       int (*run)(Context&, const std::string&)) {
    const auto job = AddJobCommand(app, name, help, &command);
    command->callback([&context, &action, job, run] {
      action = [&context, job, run] { return run(context, *job); };
    });
  };
  add("get", "Show one job", Get);
  add("describe", "Show a job with its attempts, checkpoints, events and spec", Describe);
  add("why", "Say why a job waits, or why it failed", Why);
  AddWait(app, context, action);
  const auto cancelled = AddJobCommand(app, "cancel", "Stop a job for good", &command);
  const auto reason = std::make_shared<std::string>();
  command->add_option("--reason", *reason, "Kept among the job's events");
  command->callback([&context, &action, cancelled, reason] {
    action = [&context, cancelled, reason] { return Cancel(context, *cancelled, *reason); };
  });
  add("delete", "Remove a job that has ended", Delete);
}

}  // namespace g2ll::cli
