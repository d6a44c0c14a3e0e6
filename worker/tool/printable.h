#ifndef WORKER_TOOL_PRINTABLE_H_
#define WORKER_TOOL_PRINTABLE_H_

#include <string>

namespace g2ll::tool {

// `text` in one line that no terminal obeys: names of files may hold line ends and
// escapes, each of which becomes `?`.
inline std::string Printable(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = '?';
  }
  return text;
}

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_PRINTABLE_H_
