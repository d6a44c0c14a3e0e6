// `g2ll describe`: everything about a job on one page.
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/job_table.h"
#include "client/cli/json_printer.h"
#include "client/cli/progress_model.h"
#include "proto/common/spec_field.h"
#include "proto/common/spec_yaml.h"

namespace g2ll::cli {
namespace {

using nlohmann::ordered_json;

void PrintHeading(Context& context, const std::string& text) {
  context.Print("");
  context.Print(text);
}

std::string ProgressText(const v1::Progress& progress) {
  std::string text = absl::StrCat(progress.step(), "/", progress.total_steps(), " steps, epoch ",
                                  spec::NumberText(progress.epoch()));
  if (progress.images_per_second() > 0) {
    absl::StrAppend(&text, ", ", spec::NumberText(progress.images_per_second()), " images/s");
  }
  if (progress.has_eta()) {
    absl::StrAppend(&text, ", ", ShortDuration(absl::Seconds(progress.eta().seconds())), " left");
  }
  return text;
}

void PrintHead(Context& context, const v1::Job& job) {
  Table head({"Name:", job.name()});
  head.Add({"UID:", job.uid()});
  head.Add({"Kind:", job.kind()});
  head.Add({"State:", v1::Job::State_Name(job.state())});
  if (!job.state_reason().code().empty()) {
    head.Add(
        {"Reason:", absl::StrCat(job.state_reason().code(), ": ", job.state_reason().message())});
  }
  if (job.desired() != v1::Job::DESIRED_UNSPECIFIED) {
    head.Add({"Wanted:", v1::Job::Desired_Name(job.desired())});
  }
  if (!job.queue().empty()) head.Add({"Queue:", ShortName(job.queue())});
  if (!job.labels().empty()) {
    const std::map<std::string, std::string> labels(job.labels().begin(), job.labels().end());
    head.Add({"Labels:", absl::StrJoin(labels, ", ", absl::PairFormatter("="))});
  }
  head.Add({"Created:", TimeText(job.create_time(), job.has_create_time())});
  head.Add({"Started:", TimeText(job.start_time(), job.has_start_time())});
  head.Add({"Ended:", TimeText(job.end_time(), job.has_end_time())});
  head.Add({"Progress:", ProgressText(job.progress())});
  if (!job.best_metric().name().empty()) {
    head.Add({"Best:", absl::StrCat(job.best_metric().name(), " ",
                                    spec::NumberText(job.best_metric().value()), " at step ",
                                    job.best_metric().step())});
  }
  if (const v1::Failure* failure = LastFailure(job)) {
    head.Add({"Last error:", FailureText(*failure)});
  }
  const v1::Budgets& budgets = job.budgets();
  head.Add(
      {"Restarts:", absl::StrCat(budgets.used_retries(), " own, ", budgets.used_infra_retries(),
                                 " infrastructure, ", budgets.preemptions(), " preemptions, ",
                                 budgets.without_progress(), " in a row without progress, ",
                                 budgets.failed_starts(), " failed starts in a row")});
  context.PrintTable(head);
}

void PrintAttempts(Context& context, const v1::Job& job) {
  if (job.attempts_size() == 0) return;
  PrintHeading(context, "Attempts:");
  Table table({"NUMBER", "STATE", "OUTCOME", "RANKS", "WORKERS", "START", "END", "FROM STEP",
               "LOST STEPS", "FAILURE"});
  for (const v1::Attempt& attempt : job.attempts()) {
    const bool has_outcome = attempt.outcome() != v1::Attempt::OUTCOME_UNSPECIFIED;
    table.Add({absl::StrCat(attempt.number()), v1::Attempt::State_Name(attempt.state()),
               has_outcome ? v1::Attempt::Outcome_Name(attempt.outcome()) : "-",
               absl::StrCat(attempt.world_size()), absl::StrJoin(attempt.workers(), ","),
               TimeText(attempt.start_time(), attempt.has_start_time()),
               TimeText(attempt.end_time(), attempt.has_end_time()),
               absl::StrCat(attempt.resume_step()), absl::StrCat(attempt.lost_steps()),
               attempt.has_failure() ? FailureText(attempt.failure()) : "-"});
  }
  context.PrintTable(table);
}

void PrintCheckpoints(Context& context, const std::vector<v1::Checkpoint>& checkpoints) {
  if (checkpoints.empty()) return;
  PrintHeading(context, "Checkpoints:");
  Table table({"ID", "STEP", "STATE", "BEST", "PINNED"});
  for (const v1::Checkpoint& checkpoint : checkpoints) {
    table.Add({checkpoint.id(), absl::StrCat(checkpoint.step()),
               v1::Checkpoint::State_Name(checkpoint.state()), checkpoint.best() ? "yes" : "-",
               checkpoint.pinned() ? "yes" : "-"});
  }
  context.PrintTable(table);
}

void PrintOrigin(Context& context, const v1::Job& job) {
  if (job.lineage_size() > 0) {
    PrintHeading(context, "Made from:");
    Table table({"FROM", "CHECKPOINT", "SHA256"});
    for (const v1::Lineage& lineage : job.lineage()) {
      table.Add({lineage.from(), lineage.checkpoint(), lineage.sha256()});
    }
    context.PrintTable(table);
  }
  if (job.excluded_workers_size() > 0) {
    PrintHeading(context, "Workers that it avoids:");
    Table table({"WORKER", "REASON"});
    for (const v1::ExcludedWorker& excluded : job.excluded_workers()) {
      table.Add({excluded.worker(), excluded.reason()});
    }
    context.PrintTable(table);
  }
}

void PrintEvents(Context& context, const v1::Job& job) {
  if (job.events_size() == 0) return;
  PrintHeading(context, "Events:");
  Table table({"TIME", "ACTOR", "TYPE", "MESSAGE"});
  for (const v1::JobEvent& event : job.events()) {
    table.Add(
        {TimeText(event.time(), event.has_time()), event.actor(), event.type(), event.message()});
  }
  context.PrintTable(table);
}

void PrintPage(Context& context, const v1::Job& job,
               const std::vector<v1::Checkpoint>& checkpoints) {
  PrintHead(context, job);
  for (const auto& [name, value] :
       std::map<std::string, double>(job.metrics().begin(), job.metrics().end())) {
    context.Print(absl::StrCat("  ", name, " ", spec::NumberText(value)));
  }
  PrintAttempts(context, job);
  PrintCheckpoints(context, checkpoints);
  PrintOrigin(context, job);
  PrintEvents(context, job);
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
  ordered_json json = JobJson(*job);
  const v1::Failure* failure = LastFailure(*job);
  json["lastError"] = failure != nullptr ? ToJson(*failure) : ordered_json();
  json["checkpoints"] = ordered_json::array();
  for (const v1::Checkpoint& checkpoint : *checkpoints) {
    json["checkpoints"].push_back(ToJson(checkpoint));
  }
  context.PrintOne(json, job->name(), [&] { PrintPage(context, *job, *checkpoints); });
  return kDone;
}

}  // namespace

void AddDescribeCommand(CLI::App& app, Context& context, Action& action) {
  AddWordCommand(app, "describe",
                 "Show a job with its attempts, checkpoints, events, last error and spec", "job",
                 "Name of the job", context, action, Describe);
}

}  // namespace g2ll::cli
