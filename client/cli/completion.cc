#include "client/cli/completion.h"

#include <CLI/CLI.hpp>

#include <map>

#include "client/cli/context.h"
#include "client/cli/job_table.h"

namespace g2ll::cli {
namespace {

// What the values of options and arguments are, by their names.
const std::map<std::string, WordKind>& KindsByName() {
  static const std::map<std::string, WordKind> kKinds = {
      {"job", WordKind::kJob},
      {"a", WordKind::kJob},
      {"b", WordKind::kJob},
      {"worker", WordKind::kWorker},
      {"queue", WordKind::kQueue},
      {"--queue", WordKind::kQueue},
      {"checkpoint", WordKind::kCheckpoint},
      {"key", WordKind::kKey},
      {"--file", WordKind::kFile},
      {"--to", WordKind::kFile},
      {"--from", WordKind::kFile},
      {"--dir", WordKind::kFile},
      {"--data-dir", WordKind::kFile},
  };
  return kKinds;
}

// Words of the few values that are one of a handful.
const std::map<std::string, std::vector<std::string>>& ListedByName() {
  static const std::map<std::string, std::vector<std::string>> kWords = {
      {"--output", {"table", "json", "yaml", "name"}},
      {"--what", {"encoder", "segmenter"}},
      {"--priority", {"low", "normal", "high"}},
      {"--preemptible", {"true", "false"}},
      {"shell", {"bash", "zsh", "fish"}},
      {"--state", StateNames()},
      {"--for", StateNames()},
  };
  return kWords;
}

Completion ValueOf(const CLI::Option& option) {
  const std::string name = option.get_name(/*positional=*/option.get_positional());
  if (const auto listed = ListedByName().find(name); listed != ListedByName().end()) {
    return {WordKind::kListed, listed->second};
  }
  const auto kind = KindsByName().find(name);
  return {kind == KindsByName().end() ? WordKind::kNone : kind->second, {}};
}

const CLI::Option* FindOption(const CLI::App* app, const std::string& word) {
  // Options of the program may stand behind a command too.
  for (; app != nullptr; app = app->get_parent()) {
    if (const CLI::Option* option = app->get_option_no_throw(word)) return option;
  }
  return nullptr;
}

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// `--name` and `-n` of every option that may stand here.
std::vector<std::string> OptionWords(const CLI::App* app) {
  std::vector<std::string> words;
  for (; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options(nullptr)) {
      for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
      for (const std::string& name : option->get_snames()) words.push_back("-" + name);
    }
  }
  return words;
}

std::vector<std::string> CommandWords(const CLI::App& app) {
  std::vector<std::string> words;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    if (!command->get_group().empty()) words.push_back(command->get_name());
  }
  return words;
}

const CLI::App* FindCommand(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

// The argument number `index` of a command; the last one takes all that follow if it
// takes several. Null if there is none.
const CLI::Option* Positional(const CLI::App& app, size_t index) {
  size_t at = 0;
  for (const CLI::Option* option : app.get_options(nullptr)) {
    if (!option->get_positional()) continue;
    if (at++ == index) return option;
  }
  return nullptr;
}

constexpr std::string_view kBash = R"(# bash completion of g2ll: source <(g2ll completion bash)
_g2ll() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o default 2>/dev/null
    else
      COMPREPLY+=("$line")
    fi
  done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _g2ll g2ll
)";

constexpr std::string_view kZsh = R"(#compdef g2ll
# zsh completion of g2ll: source <(g2ll completion zsh)
_g2ll() {
  local line
  local -a found
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      _files
    else
      found+=("$line")
    fi
  done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( ${#found} )) && compadd -- "${found[@]}"
}
compdef _g2ll g2ll
)";

constexpr std::string_view kFish = R"(# fish completion of g2ll: g2ll completion fish | source
function __g2ll_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (command $words[1] __complete -- $words[2..-1] 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c g2ll -f -a '(__g2ll_complete)'
)";

void AppendCommand(const CLI::App& command, const std::string& path, std::string* out) {
  *out += "\n## " + path + "\n\n```text\n";
  // Not command.help(), which would print the help of the command that was chosen.
  std::string help = command.get_formatter()->make_help(&command, path, CLI::AppFormatMode::Normal);
  while (!help.empty() && help.back() == '\n') help.pop_back();
  *out += help + "\n```\n";
  for (const CLI::App* below : command.get_subcommands(nullptr)) {
    if (!below->get_group().empty()) {
      AppendCommand(*below, path + " " + below->get_name(), out);
    }
  }
}

}  // namespace

Completion Complete(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* here = &app;
  size_t num_arguments = 0;
  const CLI::Option* open_option = nullptr;  // waits for its value
  bool only_arguments = false;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (open_option != nullptr) {
      open_option = nullptr;
    } else if (word == "--") {
      only_arguments = true;
    } else if (!only_arguments && word.size() > 1 && word[0] == '-') {
      const CLI::Option* option = FindOption(here, word);
      if (option != nullptr && TakesValue(*option)) open_option = option;
    } else if (const CLI::App* command = FindCommand(*here, word);
               command != nullptr && num_arguments == 0) {
      here = command;
      // Their words are for another program, and mostly name images.
      if (IsToolCommand(word)) return {WordKind::kFile, {}};
    } else {
      ++num_arguments;
    }
  }
  const std::string typed = words.empty() ? "" : words.back();
  if (open_option != nullptr) return ValueOf(*open_option);
  if (!only_arguments && !typed.empty() && typed[0] == '-') {
    return {WordKind::kListed, OptionWords(here)};
  }
  if (const CLI::Option* argument = Positional(*here, num_arguments)) return ValueOf(*argument);
  return {WordKind::kListed, num_arguments == 0 ? CommandWords(*here) : std::vector<std::string>()};
}

std::string_view CompletionScript(std::string_view shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  return "";
}

std::string CommandReference(const CLI::App& app) {
  std::string out =
      "# Command reference\n\n"
      "What `g2ll --help` and the help of every command print; `g2ll reference > docs/cli.md`\n"
      "writes this file, and a test compares it with the program.\n";
  AppendCommand(app, "g2ll", &out);
  return out;
}

}  // namespace g2ll::cli
