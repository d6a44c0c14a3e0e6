#include "tests/data/tool_outcome.h"

#include <gtest/gtest.h>

#include "worker/tool/tool_main.h"

namespace g2ll::tool::test {

Outcome Tool(std::vector<std::string> words) {
  words.insert(words.begin(), "tool");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.exit_code = RunTool(static_cast<int>(argv.size()), argv.data());
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.error = testing::internal::GetCapturedStderr();
  return outcome;
}

}  // namespace g2ll::tool::test
