// `g2ll version` and `g2ll admin ...`.
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/job_table.h"
#include "client/cli/json_printer.h"
#include "client/cli/progress_model.h"
#include "client/cli/transfer.h"
#include "proto/common/log.h"

namespace g2ll::cli {
namespace {

// Nobody waits long for the number of a server that may not be there.
constexpr char kVersionTimeout[] = "2s";

struct RestoreOptions {
  std::string from;
  std::string data_dir;
};

int Version(Context& context, const std::string&) {
  const auto server = context.client().GetServerInfo();
  nlohmann::ordered_json json = {{"client", context.env.version}, {"server", nullptr}};
  if (server.ok()) json["server"] = ToJson(*server);
  context.PrintOne(json, context.env.version, [&] {
    context.Print(absl::StrCat("g2ll ", context.env.version));
    context.Print(absl::StrCat("server ", server.ok() ? server->version() : "not reached", " (",
                               context.ServerAddress(), ")"));
  });
  return kDone;
}

int Info(Context& context, const std::string&) {
  const auto info = context.client().GetServerInfo();
  if (!info.ok()) return context.Fail(info.status());
  nlohmann::ordered_json json = ToJson(*info);
  json["address"] = context.ServerAddress();
  context.PrintOne(json, context.ServerAddress(), [&] {
    Table table({"Address:", context.ServerAddress()});
    table.Add({"Version:", info->version()});
    table.Add({"PID:", absl::StrCat(info->pid())});
    table.Add({"Term:", absl::StrCat(info->term())});
    std::string started = TimeText(info->start_time(), info->has_start_time());
    if (info->has_start_time()) {
      absl::StrAppend(&started, " (", ShortDuration(absl::Now() - ToTime(info->start_time())),
                      " ago)");
    }
    table.Add({"Started:", started});
    table.Add({"HTTP:", info->http_address()});
    context.PrintTable(table);
  });
  return kDone;
}

int Backup(Context& context, const std::string& to) {
  const absl::Status status =
      context.client().BackupStore(to, context.Control(), TellTransfer(context));
  if (!status.ok()) return context.Fail(status);
  const std::string path = AbsolutePath(to);
  context.PrintOne({{"file", path}}, path, [&] { context.Print(path); });
  return kDone;
}

// The coordinator's own program knows its store; it does the work, as no coordinator may
// run on the directory meanwhile.
int Restore(Context& context, const RestoreOptions& options) {
  const std::string program = context.env.program_dir + "/g2ll-coordinator";
  if (access(program.c_str(), X_OK) != 0) {
    context.Say(
        absl::StrCat("g2ll: `admin restore` needs g2ll-coordinator, which is not installed "
                     "here (",
                     program, "); it is part of the coordinator image"));
    return kRefused;
  }
  const int code = context.env.exec({program, "restore", "--from", AbsolutePath(options.from),
                                     "--data-dir", AbsolutePath(options.data_dir)});
  if (code < 0) {
    context.Say(absl::StrCat("g2ll: cannot start ", program));
    return kRefused;
  }
  return code;
}

}  // namespace

void AddAdminCommands(CLI::App& app, Context& context, Action& action) {
  CLI::App* version =
      app.add_subcommand("version", "Print the versions of this program and of the server");
  version->callback([&context, &action] {
    action = [&context] { return Version(context, ""); };
    if (context.timeout_option.empty()) context.timeout_option = kVersionTimeout;
    context.attempts = 1;
  });
  CLI::App* admin = app.add_subcommand("admin", "Look after the server and its store");
  admin->require_subcommand(1);
  CLI::App* info = nullptr;
  AddCommand<std::string>(*admin, "info", "Show what the server is", context, action, Info, &info);
  CLI::App* backup = nullptr;
  const auto to = AddCommand<std::string>(*admin, "backup",
                                          "Copy the server's store into a file, while it works",
                                          context, action, Backup, &backup);
  backup->add_option("--to", *to, "File to write; it must not exist")->required();
  CLI::App* restore = nullptr;
  const auto options = AddCommand<RestoreOptions>(
      *admin, "restore", "Make a data directory out of a backup; no coordinator may run on it",
      context, action, Restore, &restore);
  restore->add_option("--from", options->from, "File that `g2ll admin backup` wrote")->required();
  restore->add_option("--data-dir", options->data_dir, "The coordinator's data directory")
      ->required();
}

}  // namespace g2ll::cli
