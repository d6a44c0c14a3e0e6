#include "worker/agent/log_lines.h"

#include <algorithm>
#include <optional>

namespace g2ll::agent {
namespace {

// Largest cut of `text` within the limit that does not split a character.
size_t CutLength(std::string_view text) {
  if (text.size() <= kMaxLogLineBytes) return text.size();
  size_t length = kMaxLogLineBytes;
  while (length > 1 && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
  return length;
}

// Takes `TIME LEVEL ` off a line in the text format.
std::string_view WithoutPrefix(std::string_view line) {
  if (line.starts_with('{')) return line;
  const size_t level_start = line.find(' ') + 1;
  const size_t level_end = line.find(' ', level_start);
  return level_end == std::string_view::npos ? line : line.substr(level_end + 1);
}

}  // namespace

std::vector<LogLine> LogLineSplitter::Feed(std::string_view bytes) {
  std::vector<LogLine> lines;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const size_t length = std::min(end, bytes.size());
    size_t room = kMaxLogLineBytes - partial_.size();
    if (length > room) {
      // Cut between characters, unless there is no end of a character near.
      for (size_t cut = room; cut + 4 > room && cut > 0; --cut) {
        if ((static_cast<unsigned char>(bytes[cut]) & 0xc0) != 0x80) {
          room = cut;
          break;
        }
      }
      partial_.append(bytes.substr(0, room));
      bytes.remove_prefix(room);
      Emit(lines);
      continue;
    }
    partial_.append(bytes.substr(0, length));
    bytes.remove_prefix(end == std::string_view::npos ? length : length + 1);
    if (end != std::string_view::npos) Emit(lines);
  }
  return lines;
}

std::vector<LogLine> LogLineSplitter::Finish() {
  std::vector<LogLine> lines;
  Emit(lines);
  return lines;
}

void LogLineSplitter::Emit(std::vector<LogLine>& lines) {
  if (partial_.ends_with('\r')) partial_.pop_back();
  const std::optional<log::Level> level = log::ParseLevel(partial_);
  const std::string message =
      log::EscapeControl(level ? WithoutPrefix(partial_) : std::string_view(partial_));
  partial_.clear();
  // Escapes can make a line longer than the limit.
  for (std::string_view rest = message; !rest.empty();) {
    const size_t length = CutLength(rest);
    lines.push_back({level.value_or(log::Level::kInfo), std::string(rest.substr(0, length))});
    rest.remove_prefix(length);
  }
}

}  // namespace g2ll::agent
