#include "proto/common/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <ctime>

namespace g2ll::log {
namespace {

std::atomic<Format> g_format{Format::kText};
std::atomic<Level> g_min_level{Level::kInfo};

constexpr std::string_view kHex = "0123456789abcdef";

std::string_view UpperName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "DEBUG";
    case Level::kInfo:
      return "INFO";
    case Level::kWarning:
      return "WARNING";
    case Level::kError:
      return "ERROR";
  }
  return "INFO";
}

std::optional<Level> LevelFromName(std::string_view name) {
  for (Level level : {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError}) {
    if (name == UpperName(level) || name == LevelName(level)) return level;
  }
  return std::nullopt;
}

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

// Whether `text` starts with one of U+0080 to U+009F. Terminals obey them.
bool IsC1Control(std::string_view text) {
  return text.size() >= 2 && text[0] == '\xc2' &&
         (static_cast<unsigned char>(text[1]) & 0xe0) == 0x80;
}

// Length of one printable character at the start of `text`, 0 if its first byte
// must be escaped.
size_t PrintableLength(std::string_view text) {
  if (IsControl(text[0])) return 0;
  return IsC1Control(text) ? 0 : Utf8Length(text);
}

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const char c = text[0];
    const size_t length = Utf8Length(text);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (IsControl(c)) {
      const auto byte = static_cast<unsigned char>(c);
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else if (IsC1Control(text)) {
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(text[1]) >> 4];
      out += kHex[static_cast<unsigned char>(text[1]) & 15];
    } else if (length == 0) {
      out += "\xef\xbf\xbd";
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

void AppendTextValue(const Field& field, std::string& out) {
  const bool quoted = !field.bare && (field.value.empty() ||
                                      field.value.find_first_of(" =\"") != std::string::npos);
  const std::string escaped = EscapeControl(field.value);
  if (!quoted) {
    out += escaped;
    return;
  }
  out += '"';
  for (char c : escaped) {
    if (c == '"') out += '\\';
    out += c;
  }
  out += '"';
}

std::string FormatTime(int64_t time_unix_ms) {
  const std::time_t seconds = static_cast<std::time_t>(time_unix_ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 64> buffer{};
  const size_t length = std::strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::string text(buffer.data(), length);
  const std::string milliseconds = std::to_string(1000 + time_unix_ms % 1000);
  return text + "." + milliseconds.substr(1) + "Z";
}

}  // namespace

Field::Field(std::string_view field_key, double field_value) : key(field_key) {
  if (std::isnan(field_value)) {
    value = "NaN";
  } else if (std::isinf(field_value)) {
    value = field_value > 0 ? "Infinity" : "-Infinity";
  } else {
    std::array<char, 32> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), field_value).ptr;
    value.assign(buffer.data(), end);
    bare = true;
  }
}

void SetFormat(Format format) { g_format = format; }
Format GetFormat() { return g_format; }
void SetMinLevel(Level level) { g_min_level = level; }

std::optional<Format> ParseFormat(std::string_view name) {
  if (name == "text") return Format::kText;
  if (name == "json") return Format::kJson;
  return std::nullopt;
}

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "info";
}

size_t Utf8Length(std::string_view text) {
  if (text.empty()) return 0;
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  if (first == 0xe0 && at(1) < 0xa0) return 0;  // overlong
  if (first == 0xed && at(1) > 0x9f) return 0;  // surrogate
  if (first == 0xf0 && at(1) < 0x90) return 0;  // overlong
  if (first == 0xf4 && at(1) > 0x8f) return 0;  // above U+10FFFF
  return length;
}

std::string_view CutUtf8(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  size_t size = most;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

std::string EscapeControl(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = PrintableLength(text);
    if (length > 0) {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
      continue;
    }
    const char c = text[0];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
    text.remove_prefix(1);
  }
  return out;
}

std::string FormatLine(Format format, Level level, int64_t time_unix_ms, std::string_view message,
                       Fields fields) {
  std::string line;
  if (format == Format::kJson) {
    line = "{\"time\":\"" + FormatTime(time_unix_ms) + "\",\"level\":\"";
    line += LevelName(level);
    line += "\",\"message\":";
    AppendJsonString(message, line);
    for (const Field& field : fields) {
      line += ',';
      AppendJsonString(field.key, line);
      line += ':';
      if (field.bare) {
        line += field.value;
      } else {
        AppendJsonString(field.value, line);
      }
    }
    return line + "}";
  }
  line = FormatTime(time_unix_ms) + " ";
  line += UpperName(level);
  line += ' ';
  line += EscapeControl(message);
  for (const Field& field : fields) {
    line += ' ';
    line += EscapeControl(field.key);
    line += '=';
    AppendTextValue(field, line);
  }
  return line;
}

void Write(Level level, std::string_view message, Fields fields) {
  if (level < g_min_level.load()) return;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::string line = FormatLine(g_format, level, ms, message, fields) + "\n";
  size_t written = 0;
  while (written < line.size()) {
    const ssize_t count = ::write(STDERR_FILENO, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;  // a lost standard error must not stop the program
    written += static_cast<size_t>(count);
  }
}

std::optional<Level> ParseLevel(std::string_view line) {
  if (line.starts_with("{\"time\":\"")) {
    constexpr std::string_view kKey = "\"level\":\"";
    const size_t start = line.find(kKey);
    if (start == std::string_view::npos) return std::nullopt;
    std::string_view rest = line.substr(start + kKey.size());
    return LevelFromName(rest.substr(0, rest.find('"')));
  }
  // 2026-01-02T03:04:05.678Z INFO text
  constexpr size_t kTimeLength = 24;
  if (line.size() <= kTimeLength + 1 || line[10] != 'T' || line[kTimeLength - 1] != 'Z' ||
      line[kTimeLength] != ' ') {
    return std::nullopt;
  }
  std::string_view rest = line.substr(kTimeLength + 1);
  return LevelFromName(rest.substr(0, rest.find(' ')));
}

}  // namespace g2ll::log
