#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/json_printer.h"

namespace g2ll::cli {
namespace {

constexpr absl::Duration kVersionTimeout = absl::Seconds(2);

int ListWorkers(Context& context) {
  const auto workers = context.client().ListWorkers();
  if (!workers.ok()) return context.Fail(workers.status());
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  Table table({"NAME", "STATE", "SLOTS", "FREE", "DEVICE", "PID", "MESSAGE"});
  for (const v1::Worker& worker : *workers) {
    array.push_back(ToJson(worker));
    table.Add({worker.name(), v1::Worker::State_Name(worker.state()), absl::StrCat(worker.slots()),
               absl::StrCat(worker.free_slots()), worker.device(), absl::StrCat(worker.pid()),
               worker.message()});
    if (context.format() == Format::kName) context.Print(worker.name());
  }
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    context.PrintJson(array, false);
  } else if (context.format() == Format::kTable) {
    workers->empty() ? context.Say("no workers; `g2ll local up` starts some on this machine")
                     : context.PrintTable(table);
  }
  return kDone;
}

int Version(Context& context) {
  const auto server = context.client().GetServerInfo(kVersionTimeout);
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    nlohmann::ordered_json json = {{"client", context.env.version}, {"server", nullptr}};
    if (server.ok()) json["server"] = ToJson(*server);
    context.PrintJson(json, false);
  } else {
    context.Print(absl::StrCat("g2ll ", context.env.version));
    context.Print(absl::StrCat("server ", server.ok() ? server->version() : "not reached", " (",
                               context.ServerAddress(), ")"));
  }
  return kDone;
}

}  // namespace

void AddClusterCommands(CLI::App& app, Context& context, Action& action) {
  CLI::App* workers = app.add_subcommand("workers", "Look at the workers");
  workers->require_subcommand(1);
  workers->add_subcommand("list", "List the workers and what they can hold")
      ->callback([&context, &action] { action = [&context] { return ListWorkers(context); }; });
  app.add_subcommand("version", "Print the versions of this program and of the server")
      ->callback([&context, &action] { action = [&context] { return Version(context); }; });
}

}  // namespace g2ll::cli
