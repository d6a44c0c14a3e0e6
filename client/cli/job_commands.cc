// `g2ll get` and `g2ll wait`.
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/job_table.h"
#include "client/cli/json_printer.h"

namespace g2ll::cli {
namespace {

struct WaitOptions {
  std::string job;
  std::string state;
};

int Get(Context& context, const std::string& name) {
  const auto full = context.FullName(name);
  if (!full.ok()) return context.Fail(full.status());
  const auto job = context.client().GetJob(*full);
  if (!job.ok()) return context.Fail(job.status());
  context.PrintOne(JobJson(*job), job->name(), [&] {
    Table table(JobHeader(/*all_projects=*/false));
    table.Add(JobRow(*job, /*all_projects=*/false, absl::Now()));
    context.PrintTable(table);
  });
  return kDone;
}

int Wait(Context& context, const WaitOptions& options) {
  const auto full = context.FullName(options.job);
  if (!full.ok()) return context.Fail(full.status());
  const std::optional<v1::Job::State> state = ParseState(options.state);
  if (!options.state.empty() && !state) return context.Fail(BadState(options.state));
  context.wait_for_ready = true;
  return WaitForJob(context, *full, state);
}

}  // namespace

int WaitForJob(Context& context, const std::string& full_name,
               std::optional<v1::Job::State> state) {
  v1::Job last;
  const absl::Status status = context.client().WatchJob(
      full_name,
      [&](const v1::Job& job) {
        last = job;
        return !state || job.state() != *state;
      },
      context.Control());
  const std::string name = ShortName(full_name);
  if (absl::IsDeadlineExceeded(status)) {
    const bool is_known = last.state() != v1::Job::STATE_UNSPECIFIED;
    context.Say(
        absl::StrCat("g2ll: ", name, " is ",
                     is_known ? v1::Job::State_Name(last.state()) : "not known to have ended",
                     "; time ran out"));
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
  AddWordCommand(app, "get", "Show one job", "job", "Name of the job", context, action, Get);
  CLI::App* wait = nullptr;
  const auto options = AddCommand<WaitOptions>(app, "wait", "Wait until a job has ended", context,
                                               action, Wait, &wait);
  wait->add_option("job", options->job, "Name of the job")->required();
  wait->add_option("--for", options->state, "Wait for this state instead");
  wait->add_option("--timeout", context.timeout_option,
                   "Give up with exit code 7 after this time, for example 10m");
}

}  // namespace g2ll::cli
