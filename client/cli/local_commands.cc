#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "client/cli/json_printer.h"
#include "client/local/local_cluster.h"

namespace g2ll::cli {
namespace {

using nlohmann::ordered_json;

constexpr absl::Duration kAskTimeout = absl::Seconds(2);

struct LocalOptions {
  std::string dir;
  local::UpOptions up;
};

client::ClientOptions Impatient() {
  client::ClientOptions options;
  options.read_timeout = kAskTimeout;
  options.attempts = 1;
  return options;
}

std::string AbsoluteDir(const LocalOptions& options) {
  std::error_code error;
  const std::filesystem::path dir = options.dir.empty() ? local::DefaultDir() : options.dir;
  const std::filesystem::path path = std::filesystem::absolute(dir, error).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).string();
}

absl::StatusOr<std::vector<std::string>> ListReady(const std::string& address) {
  const auto workers = client::Client(address, Impatient()).ListWorkers();
  if (!workers.ok()) return workers.status();
  std::vector<std::string> names;
  for (const v1::Worker& worker : *workers) {
    if (worker.state() == v1::Worker::READY) names.push_back(worker.name());
  }
  return names;
}

// State of the processes, with what the coordinator knows of their children.
ordered_json StateJson(const local::ClusterState& state) {
  std::vector<v1::Worker> known;
  if (state.coordinator.pid != 0) {
    auto workers = client::Client(state.address, Impatient()).ListWorkers();
    if (workers.ok()) known = *std::move(workers);
  }
  ordered_json json = {{"address", state.address},
                       {"httpAddress", state.http_address},
                       {"dir", state.dir},
                       {"coordinatorPid", state.coordinator.pid},
                       {"workers", ordered_json::array()}};
  for (const local::WorkerProcess& worker : state.workers) {
    ordered_json entry = {{"name", worker.name},
                          {"pid", worker.process.pid},
                          {"httpAddress", worker.http_address},
                          {"state", nullptr},
                          {"trainers", ordered_json::array()},
                          {"stores", ordered_json::array()}};
    for (const v1::Worker& candidate : known) {
      if (candidate.name() != worker.name || worker.process.pid == 0) continue;
      const ordered_json whole = ToJson(candidate);
      for (const char* key : {"state", "trainers", "stores"}) entry[key] = whole[key];
    }
    json["workers"].push_back(std::move(entry));
  }
  return json;
}

void PrintState(Context& context, const local::ClusterState& state) {
  if (context.format() == Format::kJson || context.format() == Format::kYaml) {
    context.PrintJson(StateJson(state), false);
    return;
  }
  if (context.format() == Format::kName) {
    context.Print(state.address);
    return;
  }
  Table table({"PROGRAM", "PID", "ADDRESS"});
  const auto pid_text = [](const local::ProcessId& process) {
    return process.pid != 0 ? absl::StrCat(process.pid) : std::string("not running");
  };
  table.Add({"coordinator", pid_text(state.coordinator), state.address});
  for (const local::WorkerProcess& worker : state.workers) {
    table.Add({worker.name, pid_text(worker.process), worker.http_address});
  }
  context.PrintTable(table);
}

int Up(Context& context, const LocalOptions& options) {
  local::UpOptions up = options.up;
  up.dir = AbsoluteDir(options);
  up.program_dir = context.env.program_dir;
  up.stop = context.env.stop;
  const auto state = local::Up(up, ListReady);
  if (!state.ok()) {
    if (absl::IsCancelled(state.status())) {
      context.Say("stopped; what was started has ended again");
      return kInterrupted;
    }
    // Several lines: the last ones of a log, each escaped by itself.
    const std::string message(state.status().message());
    for (size_t begin = 0; begin <= message.size();) {
      const size_t end = std::min(message.find('\n', begin), message.size());
      if (end > begin) {
        context.Say((begin == 0 ? "g2ll: " : "  ") + message.substr(begin, end - begin));
      }
      begin = end + 1;
    }
    const int code = ExitCodeOf(state.status());
    return code == kUnreachable ? kFailed : absl::IsNotFound(state.status()) ? kRefused : code;
  }
  if (context.format() == Format::kTable) {
    context.Print(state->address);
    context.Say(absl::StrCat(state->workers.size(), " workers are ready; data and logs are in ",
                             state->dir));
    if (context.env.Variable("G2LL_SERVER").empty() && up.dir != local::DefaultDir()) {
      context.Say(absl::StrCat("  export G2LL_SERVER=", state->address));
    }
  } else {
    PrintState(context, *state);
  }
  return kDone;
}

int Down(Context& context, const LocalOptions& options) {
  const absl::Status status = local::Down(AbsoluteDir(options));
  if (!status.ok()) return context.Fail(status);
  context.Say("nothing runs any more; the data stay");
  return kDone;
}

int Status(Context& context, const LocalOptions& options) {
  const auto state = local::Status(AbsoluteDir(options));
  if (!state.ok()) return context.Fail(state.status());
  PrintState(context, *state);
  return kDone;
}

}  // namespace

void AddLocalCommands(CLI::App& app, Context& context, Action& action) {
  CLI::App* local_app =
      app.add_subcommand("local", "Run a coordinator and workers on this machine");
  local_app->require_subcommand(1);
  const auto options = std::make_shared<LocalOptions>();
  const auto add = [&](const char* name, const char* help,
                       int (*run)(Context&, const LocalOptions&)) {
    CLI::App* command = local_app->add_subcommand(name, help);
    command->add_option(
        "--dir", options->dir,
        "Folder of its state; default: ${XDG_STATE_HOME:-~/.local/state}/g2ll/local");
    command->callback([&context, &action, options, run] {
      action = [&context, options, run] { return run(context, *options); };
    });
    return command;
  };
  CLI::App* up = add("up", "Start what does not run and wait until it is ready", Up);
  up->add_option("--workers", options->up.num_workers, "Workers")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  up->add_option("--slots", options->up.slots, "Ranks that each worker can hold")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  up->add_option("--listen", options->up.listen, "host:port of the coordinator; port 0 picks one");
  add("down", "Stop everything; the data stay", Down);
  add("status", "Show what runs, and where", Status);
}

}  // namespace g2ll::cli
