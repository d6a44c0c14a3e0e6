#ifndef WORKER_REPORT_PAGE_PARTS_H_
#define WORKER_REPORT_PAGE_PARTS_H_

#include <initializer_list>
#include <string>
#include <string_view>

// What the pages of all kinds of job are put together from. Cells, values and bodies
// are markup: escape text first.
namespace g2ll::report {

// A `<tr>` of `<td>`s.
std::string Row(std::string_view css, std::initializer_list<std::string> cells);

// A `<thead>` of one row.
std::string HeadRow(std::initializer_list<std::string_view> names);

// A card with a table that scrolls sideways where it must.
std::string Table(const std::string& head, const std::string& rows);

// One pair of a `<dl>`.
std::string Fact(std::string_view name, std::string_view value);

// A card with a large number, its name above and a remark below.
std::string NumberCard(std::string_view name, std::string_view number, std::string_view below);

// An `<img>` that holds its file; `alt` and `png` (file bytes) are not markup.
std::string InlinePicture(std::string_view alt, std::string_view png);

// The whole file: one column in the style of all reports. `title` is not markup.
std::string Document(std::string_view title, std::string_view body);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_PAGE_PARTS_H_
