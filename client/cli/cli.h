#ifndef CLIENT_CLI_CLI_H_
#define CLIENT_CLI_CLI_H_

#include <string>
#include <vector>

#include "client/cli/environment.h"

namespace g2ll::cli {

// Runs one command line (without the program's name) and returns its exit code.
int Run(const std::vector<std::string>& args, const Environment& env);

// The same for a process: its streams, variables and folder; Ctrl-C stops the
// command in good order, a second one at once.
int Main(int argc, char** argv, const std::string& version);

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_CLI_H_
