// `g2ll queue`: who waits in which order and why, and the queues themselves.
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/job_table.h"
#include "client/cli/json_printer.h"

namespace g2ll::cli {
namespace {

using nlohmann::ordered_json;

struct ListOptions {
  bool all_projects = false;
};

struct QueueOptions {
  std::string queue;
  std::string reason;
  std::optional<int> max_waiting_jobs;
};

int ListWaiting(Context& context, const ListOptions& options) {
  const auto parent = context.Parent(options.all_projects);
  if (!parent.ok()) return context.Fail(parent.status());
  const auto waiting = context.client().ListWaitingJobs(*parent);
  if (!waiting.ok()) return context.Fail(waiting.status());
  ordered_json array = ordered_json::array();
  std::vector<std::string> names;
  Table table({"POSITION", "NAME", "REASON", "NEEDS", "FREE", "EXPECTED START", "MESSAGE"});
  const absl::Time now = absl::Now();
  for (const v1::JobExplanation& job : *waiting) {
    ordered_json json = {{"name", job.job()}};
    json.update(ToJson(job));
    array.push_back(std::move(json));
    names.push_back(job.job());
    table.Add({absl::StrCat(job.position()),
               options.all_projects ? absl::StrCat(ProjectOf(job.job()), "/", ShortName(job.job()))
                                    : ShortName(job.job()),
               job.reason().code(), absl::StrCat(job.slots_needed()),
               absl::StrCat(job.slots_free()),
               job.has_estimated_start() ? FutureText(job.estimated_start(), now) : "-",
               job.reason().message()});
  }
  context.PrintAll(array, names, table, "no job waits");
  return kDone;
}

Table QueueTable(const std::vector<v1::Queue>& queues) {
  Table table({"NAME", "STOPPED", "WAITING", "LIMIT", "RUNNING", "REASON"});
  for (const v1::Queue& queue : queues) {
    const bool is_stopped = queue.stop_policy() > v1::Queue::NONE;
    table.Add({ShortName(queue.name()),
               is_stopped ? v1::Queue::StopPolicy_Name(queue.stop_policy()) : "-",
               absl::StrCat(queue.waiting_jobs()),
               queue.max_waiting_jobs() > 0 ? absl::StrCat(queue.max_waiting_jobs()) : "-",
               absl::StrCat(queue.running_jobs()), queue.reason()});
  }
  return table;
}

int ListQueues(Context& context, const ListOptions& options) {
  const auto parent = context.Parent(options.all_projects);
  if (!parent.ok()) return context.Fail(parent.status());
  const auto queues = context.client().ListQueues(*parent);
  if (!queues.ok()) return context.Fail(queues.status());
  ordered_json array = ordered_json::array();
  std::vector<std::string> names;
  for (const v1::Queue& queue : *queues) {
    array.push_back(ToJson(queue));
    names.push_back(queue.name());
  }
  context.PrintAll(array, names, QueueTable(*queues), "no queues");
  return kDone;
}

int Show(Context& context, const absl::StatusOr<v1::Queue>& queue) {
  if (!queue.ok()) return context.Fail(queue.status());
  context.PrintOne(ToJson(*queue), queue->name(),
                   [&] { context.PrintTable(QueueTable({*queue})); });
  return kDone;
}

int Stop(Context& context, const QueueOptions& options, v1::Queue::StopPolicy policy) {
  const auto name = context.QueueName(options.queue);
  if (!name.ok()) return context.Fail(name.status());
  v1::UpdateQueueRequest request;
  request.mutable_queue()->set_name(*name);
  request.mutable_queue()->set_stop_policy(policy);
  request.mutable_queue()->set_reason(options.reason);
  request.mutable_update_mask()->add_paths("stop_policy");
  request.mutable_update_mask()->add_paths("reason");
  return Show(context, context.client().UpdateQueue(request));
}

int Hold(Context& context, const QueueOptions& options) {
  return Stop(context, options, v1::Queue::HOLD);
}

int Drain(Context& context, const QueueOptions& options) {
  return Stop(context, options, v1::Queue::HOLD_AND_DRAIN);
}

int Resume(Context& context, const QueueOptions& options) {
  return Stop(context, options, v1::Queue::NONE);
}

int Create(Context& context, const QueueOptions& options) {
  const auto name = context.QueueName(options.queue);
  if (!name.ok()) return context.Fail(name.status());
  v1::CreateQueueRequest request;
  request.set_parent(absl::StrCat("projects/", ProjectOf(*name)));
  request.set_queue_id(ShortName(*name));
  request.mutable_queue()->set_max_waiting_jobs(options.max_waiting_jobs.value_or(0));
  return Show(context, context.client().CreateQueue(request));
}

int Set(Context& context, const QueueOptions& options) {
  const auto name = context.QueueName(options.queue);
  if (!name.ok()) return context.Fail(name.status());
  if (!options.max_waiting_jobs) {
    return context.Fail(
        absl::InvalidArgumentError("nothing to change; give --max-waiting N, 0 is no limit"));
  }
  v1::UpdateQueueRequest request;
  request.mutable_queue()->set_name(*name);
  request.mutable_queue()->set_max_waiting_jobs(*options.max_waiting_jobs);
  request.mutable_update_mask()->add_paths("max_waiting_jobs");
  return Show(context, context.client().UpdateQueue(request));
}

int Delete(Context& context, const QueueOptions& options) {
  const auto name = context.QueueName(options.queue);
  if (!name.ok()) return context.Fail(name.status());
  const absl::Status status = context.client().DeleteQueue(*name);
  if (!status.ok()) return context.Fail(status);
  context.PrintOne({{"name", *name}, {"deleted", true}}, *name, [&] { context.Print(*name); });
  return kDone;
}

}  // namespace

void AddQueueCommands(CLI::App& app, Context& context, Action& action) {
  CLI::App* queue =
      app.add_subcommand("queue", "List waiting jobs in scheduling order, and govern queues");
  queue->require_subcommand(0, 1);
  const auto waiting = std::make_shared<ListOptions>();
  queue->add_flag("--all-projects", waiting->all_projects, "Jobs of every project");
  queue->callback([&context, &action, queue, waiting] {
    // A command below has set its own action before.
    if (!queue->get_subcommands().empty()) return;
    action = [&context, waiting] { return ListWaiting(context, *waiting); };
  });
  CLI::App* list = nullptr;
  const auto list_options = AddCommand<ListOptions>(*queue, "list", "List the queues", context,
                                                    action, ListQueues, &list);
  list->add_flag("--all-projects", list_options->all_projects, "Queues of every project");
  const auto add = [&](const char* name, const char* help,
                       int (*run)(Context&, const QueueOptions&), bool has_reason, bool has_limit) {
    CLI::App* command = nullptr;
    const auto options =
        AddCommand<QueueOptions>(*queue, name, help, context, action, run, &command);
    command->add_option("queue", options->queue, "Name of the queue")->required();
    if (has_reason) {
      command->add_option("--reason", options->reason, "Shown to whoever waits there");
    }
    if (has_limit) {
      command
          ->add_option("--max-waiting", options->max_waiting_jobs,
                       "Most waiting jobs; 0 is the project's limit alone")
          ->check(CLI::NonNegativeNumber);
    }
  };
  add("hold", "Place no job of a queue; what runs goes on", Hold, true, false);
  add("drain", "Place no job of a queue, and stop what runs at a checkpoint", Drain, true, false);
  add("resume", "Place jobs of a queue again", Resume, false, false);
  add("create", "Make a queue", Create, false, true);
  add("set", "Change a queue's limit", Set, false, true);
  add("delete", "Remove an empty queue", Delete, false, false);
  // At the end: a command takes over the footer that its parent has when it is added.
  queue->footer(
      "Without a command: the jobs that wait, in the order in which they are placed,\n"
      "each with the reason why it waits.");
}

}  // namespace g2ll::cli
