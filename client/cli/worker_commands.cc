// `g2ll workers ...`.
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/job_table.h"
#include "client/cli/json_printer.h"
#include "client/cli/progress_model.h"

namespace g2ll::cli {
namespace {

struct ChangeOptions {
  std::string worker;
  std::string reason;
};

// READY, or what an operator wants beside it: `READY, CORDONED`.
std::string StateText(const v1::Worker& worker) {
  std::string text = v1::Worker::State_Name(worker.state());
  if (worker.schedulable() > v1::ALLOWED) {
    absl::StrAppend(&text, ", ", v1::Schedulable_Name(worker.schedulable()));
  }
  return text;
}

std::string WhyText(const v1::Worker& worker) {
  return worker.message().empty() ? worker.schedulable_reason() : worker.message();
}

int List(Context& context, const std::string&) {
  const auto workers = context.client().ListWorkers();
  if (!workers.ok()) return context.Fail(workers.status());
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  std::vector<std::string> names;
  Table table({"NAME", "STATE", "SLOTS", "FREE", "DEVICE", "PID", "MESSAGE"});
  for (const v1::Worker& worker : *workers) {
    array.push_back(ToJson(worker));
    names.push_back(worker.name());
    table.Add({worker.name(), StateText(worker), absl::StrCat(worker.slots()),
               absl::StrCat(worker.free_slots()), worker.device(), absl::StrCat(worker.pid()),
               WhyText(worker)});
  }
  context.PrintAll(array, names, table, "no workers; `g2ll local up` starts some on this machine");
  return kDone;
}

void PrintWorker(Context& context, const v1::Worker& worker, absl::Time now) {
  Table table({"Name:", worker.name()});
  table.Add({"State:", StateText(worker)});
  if (!worker.message().empty()) table.Add({"Message:", worker.message()});
  if (!worker.schedulable_reason().empty()) table.Add({"Reason:", worker.schedulable_reason()});
  table.Add({"Slots:", absl::StrCat(worker.slots(), ", ", worker.free_slots(), " free, ",
                                    worker.unknown_slots(), " not known to be free")});
  table.Add({"Device:", worker.device()});
  table.Add({"CPUs:", absl::StrCat(worker.cpus())});
  table.Add({"Version:", worker.version()});
  table.Add({"PID:", absl::StrCat(worker.pid())});
  table.Add({"Incarnation:", worker.incarnation()});
  table.Add({"HTTP:", worker.http_address()});
  std::string heard = TimeText(worker.last_heartbeat_time(), worker.has_last_heartbeat_time());
  if (worker.has_last_heartbeat_time()) {
    absl::StrAppend(&heard, " (", ShortDuration(now - ToTime(worker.last_heartbeat_time())),
                    " ago)");
  }
  table.Add({"Last heard:", heard});
  for (const v1::TrainerProcess& trainer : worker.trainers()) {
    table.Add({"Trainer:", absl::StrCat("pid ", trainer.pid(), ", rank ", trainer.rank(), " of ",
                                        trainer.job())});
  }
  for (const v1::StoreProcess& store : worker.stores()) {
    table.Add({"Store:", absl::StrCat("pid ", store.pid(), ", of ", store.job())});
  }
  context.PrintTable(table);
}

int Show(Context& context, const absl::StatusOr<v1::Worker>& worker, bool whole) {
  if (!worker.ok()) return context.Fail(worker.status());
  context.PrintOne(ToJson(*worker), worker->name(), [&] {
    whole ? PrintWorker(context, *worker, absl::Now())
          : context.Print(absl::StrCat(worker->name(), " ", StateText(*worker)));
  });
  return kDone;
}

int Describe(Context& context, const std::string& name) {
  return Show(context, context.client().GetWorker(name), /*whole=*/true);
}

int Cordon(Context& context, const ChangeOptions& options) {
  return Show(context, context.client().CordonWorker(options.worker, options.reason), false);
}

int Uncordon(Context& context, const std::string& name) {
  return Show(context, context.client().UncordonWorker(name), false);
}

int Drain(Context& context, const ChangeOptions& options) {
  return Show(context, context.client().DrainWorker(options.worker, options.reason), false);
}

}  // namespace

void AddWorkerCommands(CLI::App& app, Context& context, Action& action) {
  CLI::App* workers = app.add_subcommand("workers", "Look at workers and take them out of use");
  workers->require_subcommand(1);
  CLI::App* list = nullptr;
  AddCommand<std::string>(*workers, "list", "List the workers and what they can hold", context,
                          action, List, &list);
  AddWordCommand(*workers, "describe", "Show one worker and what runs there", "worker",
                 "Name of the worker", context, action, Describe);
  const auto add = [&](const char* name, const char* help,
                       int (*run)(Context&, const ChangeOptions&)) {
    CLI::App* command = nullptr;
    const auto options =
        AddCommand<ChangeOptions>(*workers, name, help, context, action, run, &command);
    command->add_option("worker", options->worker, "Name of the worker")->required();
    command->add_option("--reason", options->reason, "Shown to whoever looks at the worker");
  };
  add("cordon", "Give a worker no new work; what runs there goes on", Cordon);
  AddWordCommand(*workers, "uncordon", "Give a worker work again; takes back drain and quarantine",
                 "worker", "Name of the worker", context, action, Uncordon);
  add("drain", "Give a worker no new work and move what runs there elsewhere", Drain);
}

}  // namespace g2ll::cli
