#include <unistd.h>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/context.h"
#include "client/cli/exit_code.h"

namespace g2ll::cli {

void AddToolCommands(CLI::App& app) {
  const auto add = [&app](const char* name, const char* help) {
    app.add_subcommand(name, help)
        ->footer(absl::StrCat("Done by g2ll-trainer: `g2ll ", name, " --help` asks it."));
  };
  add("data", "Make a synthetic data set, or check a folder of images");
  add("mask", "Draw an image's regions and masks");
  add("segment", "Outline the lesion in photographs, without a server");
}

bool IsToolCommand(const std::string& word) {
  return word == "data" || word == "mask" || word == "segment";
}

std::string TrainerProgram(const Context& context, const std::string& command) {
  const std::string variable = context.env.Variable("G2LL_TRAINER");
  const std::string program =
      variable.empty() ? context.env.program_dir + "/g2ll-trainer" : variable;
  if (access(program.c_str(), X_OK) == 0) return program;
  context.Say(absl::StrCat("g2ll: `", command,
                           "` needs g2ll-trainer, which is not installed here (", program,
                           "); it is part of the worker image g2ll-worker"));
  return "";
}

int RunTool(Context& context, const std::vector<std::string>& args) {
  const std::string program = TrainerProgram(context, args.front());
  if (program.empty()) return kRefused;
  std::vector<std::string> argv = {program, "tool"};
  argv.insert(argv.end(), args.begin(), args.end());
  const int code = context.env.exec(argv);
  if (code < 0) {
    context.Say(absl::StrCat("g2ll: cannot start ", program));
    return kRefused;
  }
  return code;
}

}  // namespace g2ll::cli
