#ifndef WORKER_REPORT_HTML_H_
#define WORKER_REPORT_HTML_H_

#include <string>
#include <string_view>

namespace g2ll::report {

// `text` for use between tags and inside quoted attributes: & < > " ' become
// references, control characters other than newline and tab become U+FFFD.
std::string EscapeHtml(std::string_view text);

// `<tag class="css">content</tag>`, without the attribute when `css` is empty.
// `content` is markup: escape text first.
std::string Element(std::string_view tag, std::string_view css, std::string_view content);

// Fixed-point text with so many digits after the point; `-` when not finite.
std::string FormatFixed(double value, int digits);

// A length of time for people: `8.2 s`, `3 min 05 s`, `2 h 14 min`.
std::string FormatDuration(double seconds);

// Standard base64 with padding, for data URLs.
std::string Base64(std::string_view bytes);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_HTML_H_
