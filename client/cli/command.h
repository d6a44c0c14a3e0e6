#ifndef CLIENT_CLI_COMMAND_H_
#define CLIENT_CLI_COMMAND_H_

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <utility>

#include "client/cli/context.h"

// What the sources of commands share.
namespace g2ll::cli {

// A command with a value that its options write into; `run` is its action.
template <typename Options>
std::shared_ptr<Options> AddCommand(CLI::App& parent, const std::string& name,
                                    const std::string& help, Context& context, Action& action,
                                    int (*run)(Context&, const Options&), CLI::App** command) {
  *command = parent.add_subcommand(name, help);
  const auto options = std::make_shared<Options>();
  (*command)->callback([&context, &action, options, run] {
    action = [&context, options, run] { return run(context, *options); };
  });
  return options;
}

// A command whose only argument is a word, for example the name of a job.
inline CLI::App* AddWordCommand(CLI::App& parent, const std::string& name, const std::string& help,
                                const std::string& argument, const std::string& argument_help,
                                Context& context, Action& action,
                                int (*run)(Context&, const std::string&)) {
  CLI::App* command = nullptr;
  const auto word = AddCommand<std::string>(parent, name, help, context, action, run, &command);
  command->add_option(argument, *word, argument_help)->required();
  return command;
}

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_COMMAND_H_
