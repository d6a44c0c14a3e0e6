#ifndef CLIENT_CLI_COMPLETION_H_
#define CLIENT_CLI_COMPLETION_H_

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}  // namespace CLI

namespace g2ll::cli {

// What a word of a command line stands for, where its form alone does not list it.
enum class WordKind {
  kNone,        // nothing to offer
  kListed,      // `words` has all that may stand there
  kFile,        // the shell knows
  kJob,         // ask the server
  kWorker,      // ask the server
  kQueue,       // ask the server
  kCheckpoint,  // ask the server
  kKey,         // of a job file
};

struct Completion {
  WordKind kind = WordKind::kNone;
  std::vector<std::string> words;  // not yet narrowed to what was typed
};

// What may stand at the last of `words`, which is typed so far and may be empty. The words
// before it are whole; the program's name is not among them.
Completion Complete(const CLI::App& app, const std::vector<std::string>& words);

// The script that makes a shell complete `g2ll`: bash, zsh or fish; empty for others.
std::string_view CompletionScript(std::string_view shell);

// Every command with its options as Markdown: docs/cli.md.
std::string CommandReference(const CLI::App& app);

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_COMPLETION_H_
