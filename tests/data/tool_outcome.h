#ifndef TESTS_DATA_TOOL_OUTCOME_H_
#define TESTS_DATA_TOOL_OUTCOME_H_

#include <string>
#include <vector>

namespace g2ll::tool::test {

// How a run of the tools ended and what it printed.
struct Outcome {
  int exit_code = 0;
  std::string out;
  std::string error;
};

// Runs the tools with these words of a command line, without the program's name, as
// `g2ll` starts them. Nothing else may print meanwhile.
Outcome Tool(std::vector<std::string> words);

}  // namespace g2ll::tool::test

#endif  // TESTS_DATA_TOOL_OUTCOME_H_
