// The commands that change a job's course: cancel, kill, pause, resume, requeue, delete.
#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/json_printer.h"

namespace g2ll::cli {
namespace {

using Call = absl::StatusOr<v1::Job> (client::Client::*)(const std::string&,
                                                         const client::ChangeNote&);

struct ControlOptions {
  std::string job;
  client::ChangeNote note;
  bool now = false;
  Call call = nullptr;
};

struct DeleteOptions {
  std::string job;
  std::string etag;
};

int Control(Context& context, const ControlOptions& options) {
  const auto full = context.FullName(options.job);
  if (!full.ok()) return context.Fail(full.status());
  const Call call = options.now ? &client::Client::KillJob : options.call;
  const auto job = (context.client().*call)(*full, options.note);
  if (!job.ok()) return context.Fail(job.status());
  context.PrintOne(JobJson(*job), job->name(), [&] {
    context.Print(absl::StrCat(job->name(), " ", v1::Job::State_Name(job->state())));
  });
  return kDone;
}

int Delete(Context& context, const DeleteOptions& options) {
  const auto full = context.FullName(options.job);
  if (!full.ok()) return context.Fail(full.status());
  const absl::Status status = context.client().DeleteJob(*full, options.etag);
  if (!status.ok()) return context.Fail(status);
  context.PrintOne({{"name", *full}, {"deleted", true}}, *full, [&] { context.Print(*full); });
  return kDone;
}

}  // namespace

void AddControlCommands(CLI::App& app, Context& context, Action& action) {
  const auto add = [&](const char* name, const char* help, Call call) {
    CLI::App* command = nullptr;
    const auto options =
        AddCommand<ControlOptions>(app, name, help, context, action, Control, &command);
    options->call = call;
    command->add_option("job", options->job, "Name of the job")->required();
    command->add_option("--reason", options->note.reason, "Kept among the job's events");
    command->add_option("--etag", options->note.etag, "Only if the job is still this version");
    return std::pair(command, options);
  };
  const auto [cancel, cancel_options] =
      add("cancel", "Stop a job for good; its ranks may end in order", &client::Client::CancelJob);
  cancel->add_flag("--now", cancel_options->now, "Kill its processes at once, as `g2ll kill`");
  add("kill", "Stop a job for good and kill its processes at once", &client::Client::KillJob);
  add("pause", "Stop a job at a checkpoint until it is resumed", &client::Client::PauseJob);
  add("resume", "Let a paused or held job go on", &client::Client::ResumeJob);
  add("requeue", "End a job's attempt at a checkpoint and place it anew",
      &client::Client::RequeueJob);
  CLI::App* remove = nullptr;
  const auto options = AddCommand<DeleteOptions>(
      app, "delete", "Remove a job that has ended, with its metrics, logs and checkpoints", context,
      action, Delete, &remove);
  remove->add_option("job", options->job, "Name of the job")->required();
  remove->add_option("--etag", options->etag, "Only if the job is still this version");
}

}  // namespace g2ll::cli
