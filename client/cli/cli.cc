#include "client/cli/cli.h"

#include <CLI/CLI.hpp>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"
#include "proto/common/spec_field.h"

namespace g2ll::cli {
namespace {

constexpr char kFooter[] =
    "Examples:\n"
    "  g2ll local up --workers 2\n"
    "  g2ll submit -f job.yaml --follow\n"
    "\n"
    "The server is --server, else G2LL_SERVER, else a running `g2ll local`, else\n"
    "127.0.0.1:7460. Without --timeout a call has 5s, a submission 30s, and what follows\n"
    "or waits no limit; a server that goes away meanwhile is tried again for --retry-for.\n"
    "Exit codes: 0 done, 1 the job failed or the check is false, 2 wrong usage or input,\n"
    "3 job cancelled, 4 server not reached, 5 not found, 6 refused, 7 time ran out,\n"
    "130 Ctrl-C, which never cancels a job.";

void AddGlobalOptions(CLI::App& app, Context& context) {
  app.add_option("--server", context.server_option, "host:port of the coordinator");
  app.add_option("--project", context.project, "Project of short job names")->capture_default_str();
  app.add_option("-o,--output", context.format_option, "table, json, yaml or name")
      ->check(CLI::IsMember({"table", "json", "yaml", "name"}));
  app.add_option("--timeout", context.timeout_option,
                 "Give up with exit code 7 after this time, for example 30s");
  app.add_option("--retry-for", context.retry_for_option,
                 "How long to follow a job while the server is away")
      ->capture_default_str();
}

// The first word that is neither an option nor its value; empty if there is none.
std::string FirstWord(const std::vector<std::string>& args) {
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    if (word == "--server" || word == "--project" || word == "-o" || word == "--output" ||
        word == "--timeout" || word == "--retry-for") {
      ++i;
    } else if (word.empty() || word.front() != '-') {
      return word;
    }
  }
  return "";
}

// A mistyped command gets a better answer than the parser's.
bool TellUnknownCommand(const CLI::App& app, const std::string& word, Context& context) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  if (word.empty() || std::find(names.begin(), names.end(), word) != names.end()) return false;
  const std::string nearest = spec::NearestWord(word, names);
  context.Say(absl::StrCat(
      "g2ll: ", word, " is no command",
      nearest.empty() ? "; see g2ll --help" : absl::StrCat("; did you mean ", nearest, "?")));
  return true;
}

}  // namespace

int Run(const std::vector<std::string>& args, const Environment& env) {
  Context context(env);
  if (!args.empty() && IsToolCommand(args.front())) return RunTool(context, args);
  CLI::App app("Train and measure segmentation of skin lesions on a cluster", "g2ll");
  app.require_subcommand(1);
  // Options of the program may stand behind a command too.
  app.fallthrough();
  app.set_version_flag("--version", absl::StrCat("g2ll ", env.version));
  AddGlobalOptions(app, context);
  Action action;
  AddLocalCommands(app, context, action);
  AddSubmitCommand(app, context, action);
  AddListCommand(app, context, action);
  AddJobCommands(app, context, action);
  AddDescribeCommand(app, context, action);
  AddWhyCommand(app, context, action);
  AddStreamCommands(app, context, action);
  AddReportCommand(app, context, action);
  AddControlCommands(app, context, action);
  AddUpdateCommand(app, context, action);
  AddCheckpointCommands(app, context, action);
  AddCompareCommand(app, context, action);
  AddWorkerCommands(app, context, action);
  AddQueueCommands(app, context, action);
  AddProjectCommands(app, context, action);
  AddAdminCommands(app, context, action);
  AddExplainCommand(app, context, action);
  AddCompletionCommands(app, context, action);
  AddToolCommands(app);
  // At the end: a command takes over the footer that its parent has when it is added.
  app.footer(kFooter);
  if (!args.empty() && args.front() == "__complete") {
    const size_t first = args.size() > 1 && args[1] == "--" ? 2 : 1;
    return CompleteWords(app, context, {args.begin() + static_cast<ptrdiff_t>(first), args.end()});
  }
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::ParseError& error) {
    const bool is_help = error.get_exit_code() == 0;
    if (!is_help && TellUnknownCommand(app, FirstWord(args), context)) return kBadInput;
    app.exit(error, *env.out, *env.err);
    return is_help ? kDone : kBadInput;
  }
  if (const absl::Status status = context.TakeOptions(); !status.ok()) {
    return context.Fail(status);
  }
  return action ? action() : kBadInput;
}

}  // namespace g2ll::cli
