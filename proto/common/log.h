#ifndef PROTO_COMMON_LOG_H_
#define PROTO_COMMON_LOG_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

// Structured log lines on standard error. Every function is thread safe, and a
// line is written by one call to write(2), so lines of several threads and of
// several processes on one pipe do not mix.
namespace g2ll::log {

enum class Format {
  kText,  // 2026-01-02T03:04:05.678Z INFO text key=value other="with space"
  kJson,  // {"time":"...","level":"info","message":"text","key":value}
};

enum class Level { kDebug, kInfo, kWarning, kError };

// One key with its value, kept as text. Numbers and booleans stay bare in JSON.
struct Field {
  Field(std::string_view field_key, std::string_view field_value)
      : key(field_key), value(field_value) {}
  Field(std::string_view field_key, const std::string& field_value)
      : key(field_key), value(field_value) {}
  Field(std::string_view field_key, const char* field_value) : key(field_key), value(field_value) {}
  Field(std::string_view field_key, bool field_value)
      : key(field_key), value(field_value ? "true" : "false"), bare(true) {}
  // Finite values are written in the shortest form that reads back the same;
  // NaN and infinities become the strings `NaN`, `Infinity`, `-Infinity`.
  Field(std::string_view field_key, double field_value);
  template <typename Integer>
  requires(std::integral<Integer> && !std::same_as<Integer, bool>)
      Field(std::string_view field_key, Integer field_value)
      : key(field_key), value(std::to_string(field_value)), bare(true) {}

  std::string key;
  std::string value;
  bool bare = false;  // written without quotes
};

using Fields = std::initializer_list<Field>;

// Format of all lines from now on. Text until set.
void SetFormat(Format format);
Format GetFormat();

// Lines below this level are dropped. Info until set.
void SetMinLevel(Level level);

// `text` or `json`; nothing for anything else.
std::optional<Format> ParseFormat(std::string_view name);

// Writes one line. Control characters and bytes that are not UTF-8 come out as
// \n, \t, \xNN (in JSON by its own escapes, bad bytes as U+FFFD). U+0080 to U+009F
// are control characters here and below.
void Write(Level level, std::string_view message, Fields fields = {});
inline void Debug(std::string_view message, Fields fields = {}) {
  Write(Level::kDebug, message, fields);
}
inline void Info(std::string_view message, Fields fields = {}) {
  Write(Level::kInfo, message, fields);
}
inline void Warning(std::string_view message, Fields fields = {}) {
  Write(Level::kWarning, message, fields);
}
inline void Error(std::string_view message, Fields fields = {}) {
  Write(Level::kError, message, fields);
}

// The line that Write would write, without its time taken from a clock and
// without the line end. `time_unix_ms`: milliseconds since 1970 in UTC.
std::string FormatLine(Format format, Level level, int64_t time_unix_ms, std::string_view message,
                       Fields fields);

// `debug`, `info`, `warning` or `error`.
std::string_view LevelName(Level level);

// Level of a line in either format; nothing if the line is in neither.
std::optional<Level> ParseLevel(std::string_view line);

// `text` with control characters (tab too) and bytes that are not UTF-8 escaped
// as \n, \r, \t or \xNN. A backslash stays as it is, so a second time changes nothing.
std::string EscapeControl(std::string_view text);

// Bytes from the start of `text` that form one valid UTF-8 character of Unicode
// (no surrogates, no overlong forms); 0 if the first byte does not start one.
size_t Utf8Length(std::string_view text);

// The start of UTF-8 `text` in at most `most` bytes, cut between characters.
std::string_view CutUtf8(std::string_view text, size_t most);

}  // namespace g2ll::log

#endif  // PROTO_COMMON_LOG_H_
