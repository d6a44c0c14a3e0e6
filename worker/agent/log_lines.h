#ifndef WORKER_AGENT_LOG_LINES_H_
#define WORKER_AGENT_LOG_LINES_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "proto/common/log.h"

namespace g2ll::agent {

// Longest message of one log line in bytes.
inline constexpr size_t kMaxLogLineBytes = size_t{16} << 10;

// One line of a trainer's output, fit to be stored: valid UTF-8 without control
// characters, at most kMaxLogLineBytes.
struct LogLine {
  log::Level level = log::Level::kInfo;
  std::string message;
};

// Cuts a child's output into lines. A line above kMaxLogLineBytes becomes several.
// A line in the format of proto/common/log keeps its level; in the text format its
// time and level are taken off, because they are stored beside it. Any other line,
// for example of a library, is `info`. Empty lines are left out. Not thread safe.
class LogLineSplitter {
 public:
  // Adds output as it arrived; returns the lines that it completed.
  std::vector<LogLine> Feed(std::string_view bytes);
  // The output has ended; returns the line without an end, if there is one.
  std::vector<LogLine> Finish();

 private:
  void Emit(std::vector<LogLine>& lines);

  std::string partial_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_LOG_LINES_H_
