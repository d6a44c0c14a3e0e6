// `g2ll completion`, what its scripts ask for, and `g2ll reference`.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/completion.h"
#include "client/cli/exit_code.h"
#include "client/explain/spec_keys.h"
#include "proto/common/log.h"

namespace g2ll::cli {
namespace {

// A shell waits for the names: better none than a pause.
constexpr absl::Duration kNamesTimeout = absl::Milliseconds(500);
constexpr int kMostNames = 1000;

std::vector<std::string> JobNames(Context& context, client::Client& client) {
  std::vector<std::string> names;
  const auto parent = context.Parent(/*all_projects=*/false);
  if (!parent.ok()) return names;
  v1::ListJobsRequest request;
  request.set_parent(*parent);
  const auto jobs = client.ListJobs(request, kMostNames);
  if (!jobs.ok()) return names;
  for (const v1::Job& job : *jobs) names.push_back(ShortName(job.name()));
  return names;
}

// Names that only the server knows; none where it does not answer at once.
std::vector<std::string> AskServer(Context& context, WordKind kind) {
  std::vector<std::string> names;
  if (!context.TakeOptions().ok()) return names;
  client::ClientOptions options;
  options.attempts = 1;
  options.read_timeout = kNamesTimeout;
  options.deadline = absl::Now() + kNamesTimeout;
  client::Client client(context.ServerAddress(), options);
  if (kind == WordKind::kWorker) {
    const auto workers = client.ListWorkers();
    for (size_t i = 0; workers.ok() && i < workers->size(); ++i) {
      names.push_back((*workers)[i].name());
    }
  } else if (kind == WordKind::kQueue) {
    const auto parent = context.Parent(/*all_projects=*/false);
    const auto queues = client.ListQueues(parent.ok() ? *parent : "");
    for (size_t i = 0; queues.ok() && i < queues->size(); ++i) {
      names.push_back(ShortName((*queues)[i].name()));
    }
  } else if (kind == WordKind::kCheckpoint) {
    for (const std::string& job : JobNames(context, client)) names.push_back("job/" + job);
  } else {
    names = JobNames(context, client);
  }
  return names;
}

// The words of a command line may name another server or project.
void TakeServerOf(const std::vector<std::string>& words, Context& context) {
  for (size_t i = 0; i + 2 < words.size(); ++i) {
    if (words[i] == "--server") context.server_option = words[i + 1];
    if (words[i] == "--project") context.project = words[i + 1];
  }
}

}  // namespace

int CompleteWords(const CLI::App& app, Context& context, const std::vector<std::string>& words) {
  const Completion completion = Complete(app, words);
  std::vector<std::string> candidates = completion.words;
  switch (completion.kind) {
    case WordKind::kNone:
    case WordKind::kListed:
      break;
    case WordKind::kFile:
      candidates = {":files"};
      break;
    case WordKind::kKey:
      candidates = explain::AllKeys();
      break;
    case WordKind::kJob:
    case WordKind::kWorker:
    case WordKind::kQueue:
    case WordKind::kCheckpoint:
      TakeServerOf(words, context);
      candidates = AskServer(context, completion.kind);
      break;
  }
  const std::string typed = words.empty() ? "" : words.back();
  for (const std::string& candidate : candidates) {
    // Names come from a server: none may smuggle an escape into a shell's line.
    const bool is_clean = log::EscapeControl(candidate) == candidate;
    const bool fits = candidate == ":files" || absl::StartsWith(candidate, typed);
    if (is_clean && fits) context.Print(candidate);
  }
  return kDone;
}

namespace {

int PrintScript(Context& context, const std::string& shell) {
  *context.env.out << CompletionScript(shell) << std::flush;
  return kDone;
}

}  // namespace

void AddCompletionCommands(CLI::App& app, Context& context, Action& action) {
  CLI::App* completion =
      AddWordCommand(app, "completion", "Print a script that makes a shell complete g2ll", "shell",
                     "bash, zsh or fish", context, action, PrintScript);
  completion->get_option("shell")->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->footer(
      "bash: source <(g2ll completion bash)\n"
      "zsh:  source <(g2ll completion zsh)\n"
      "fish: g2ll completion fish | source");

  CLI::App* reference = app.add_subcommand("reference", "Print the help of every command");
  reference->callback([&app, &context, &action] {
    action = [&app, &context] {
      *context.env.out << CommandReference(app) << std::flush;
      return kDone;
    };
  });
}

}  // namespace g2ll::cli
