#ifndef CLIENT_CLI_ENVIRONMENT_H_
#define CLIENT_CLI_ENVIRONMENT_H_

#include <functional>
#include <istream>
#include <map>
#include <ostream>
#include <stop_token>
#include <string>
#include <vector>

namespace g2ll::cli {

// Everything that the command line takes from the process around it, so that a
// test can give it something else. Streams must outlive the call.
struct Environment {
  std::istream* in = nullptr;
  std::ostream* out = nullptr;  // data
  std::ostream* err = nullptr;  // talk
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  int width = 80;                                // of the terminal, in characters
  bool unicode = false;                          // the terminal shows UTF-8
  std::map<std::string, std::string> variables;  // of the process
  std::string program_dir;                       // folder of this program, where its sisters are
  std::string version;
  std::stop_token stop;  // asked to stop by Ctrl-C
  // Replaces the process by a program; returns only if that fails.
  std::function<int(const std::vector<std::string>& argv)> exec;
  // Runs a program to its end with the streams of this process. Its exit code, 128 + N
  // where signal N ended it; -1 if it cannot be started.
  std::function<int(const std::vector<std::string>& argv)> run;

  // A variable of the process; empty if it is not set.
  std::string Variable(const std::string& name) const {
    const auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  }
};

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_ENVIRONMENT_H_
