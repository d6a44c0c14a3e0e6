#include "worker/report/page_parts.h"

#include "absl/strings/str_cat.h"
#include "worker/report/html.h"
#include "worker/report/page_style.h"

namespace g2ll::report {

std::string Row(std::string_view css, std::initializer_list<std::string> cells) {
  std::string row;
  for (const std::string& cell : cells) {
    row += Element("td", "", cell);
  }
  return Element("tr", css, row) + "\n";
}

std::string HeadRow(std::initializer_list<std::string_view> names) {
  std::string row;
  for (const std::string_view name : names) {
    row += Element("th", "", name);
  }
  return Element("thead", "", Element("tr", "", row));
}

std::string Table(const std::string& head, const std::string& rows) {
  return Element("div", "card scroll", Element("table", "", head + Element("tbody", "", rows)));
}

std::string Fact(std::string_view name, std::string_view value) {
  return absl::StrCat(Element("dt", "", name), Element("dd", "", value));
}

std::string NumberCard(std::string_view name, std::string_view number, std::string_view below) {
  return Element("div", "card number",
                 absl::StrCat(Element("span", "name", name), Element("b", "", number),
                              Element("span", "soft", below)));
}

std::string InlinePicture(std::string_view alt, std::string_view png) {
  return absl::StrCat("<img alt=\"", EscapeHtml(alt), "\" src=\"data:image/png;base64,",
                      Base64(png), "\">");
}

std::string Document(std::string_view title, std::string_view body) {
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
      Element("title", "", EscapeHtml(title)), "\n", Element("style", "", kPageStyle),
      "\n</head>\n<body>\n", Element("main", "", body), "\n</body>\n</html>\n");
}

}  // namespace g2ll::report
