#include "worker/tool/compare.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/metric/paired.h"
#include "worker/report/csv.h"

namespace g2ll::tool {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct ScoreColumn {
  const char* name;  // in per_image.csv and in JSON
  const char* title;
};
constexpr std::array<ScoreColumn, 4> kScores = {{{"dice", "Dice"},
                                                 {"iou", "IoU"},
                                                 {"diceNative", "Dice, native"},
                                                 {"iouNative", "IoU, native"}}};
// What must be equal for an image's two scores to be a pair.
constexpr std::array<const char*, 3> kTruthColumns = {"width", "height", "lesionPixels"};

// One image of one evaluation.
struct ImageRow {
  std::array<double, kScores.size()> scores{};
  std::array<std::string, kTruthColumns.size()> truth;
};

struct Report {
  std::string name;
  std::string title;
  std::string checkpoint;  // SHA-256
  std::string split;
  int64_t image_size = 0;
  Json protocol;
  std::map<std::string, ImageRow> images;
};

absl::Status Invalid(const std::string& subject, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(subject, ": ", what));
}

absl::StatusOr<std::string> ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Invalid(path.string(), "cannot be read: name the report of an EvaluateJob");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

absl::StatusOr<size_t> ColumnOf(const std::vector<std::string>& header, const std::string& name) {
  const auto found = std::find(header.begin(), header.end(), name);
  if (found == header.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has no column ", name, ": evaluate again with this version"));
  }
  return static_cast<size_t>(found - header.begin());
}

absl::StatusOr<std::map<std::string, ImageRow>> ParseImages(const std::string& text) {
  G2LL_ASSIGN_OR_RETURN(const auto rows, report::ParseCsv(text));
  if (rows.empty()) return absl::InvalidArgumentError("is empty");
  const std::vector<std::string>& header = rows.front();
  G2LL_ASSIGN_OR_RETURN(const size_t id, ColumnOf(header, "image"));
  std::array<size_t, kScores.size()> scores{};
  for (size_t i = 0; i < kScores.size(); ++i) {
    G2LL_ASSIGN_OR_RETURN(scores[i], ColumnOf(header, kScores[i].name));
  }
  std::array<size_t, kTruthColumns.size()> truth{};
  for (size_t i = 0; i < kTruthColumns.size(); ++i) {
    G2LL_ASSIGN_OR_RETURN(truth[i], ColumnOf(header, kTruthColumns[i]));
  }
  std::map<std::string, ImageRow> images;
  for (size_t r = 1; r < rows.size(); ++r) {
    const std::vector<std::string>& row = rows[r];
    if (row.size() != header.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("row ", r, " has ", row.size(), " fields, the header ", header.size()));
    }
    ImageRow image;
    for (size_t i = 0; i < kScores.size(); ++i) {
      if (!absl::SimpleAtod(row[scores[i]], &image.scores[i]) || !std::isfinite(image.scores[i])) {
        return absl::InvalidArgumentError(
            absl::StrCat("row ", r, ", ", kScores[i].name, ": is no number"));
      }
    }
    for (size_t i = 0; i < kTruthColumns.size(); ++i) image.truth[i] = row[truth[i]];
    if (!images.emplace(row[id], std::move(image)).second) {
      return absl::InvalidArgumentError(absl::StrCat("image ", row[id], " stands there twice"));
    }
  }
  if (images.empty()) return absl::InvalidArgumentError("holds no image");
  return images;
}

absl::StatusOr<Report> ReadReport(const std::string& folder, const std::string& name) {
  const fs::path json_path = fs::path(folder) / "report.json";
  const fs::path csv_path = fs::path(folder) / "per_image.csv";
  G2LL_ASSIGN_OR_RETURN(const std::string json_text, ReadText(json_path));
  Report report;
  report.name = name.empty() ? folder : name;
  try {
    const Json json = Json::parse(json_text);
    json.at("title").get_to(report.title);
    json.at("split").get_to(report.split);
    json.at("imageSize").get_to(report.image_size);
    json.at("checkpointSha256").get_to(report.checkpoint);
    report.protocol = json.at("protocol");
  } catch (const nlohmann::json::exception&) {
    return Invalid(json_path.string(),
                   "is no report of an evaluation by this version: evaluate again");
  }
  G2LL_ASSIGN_OR_RETURN(const std::string csv_text, ReadText(csv_path));
  absl::StatusOr<std::map<std::string, ImageRow>> images = ParseImages(csv_text);
  if (!images.ok()) return Invalid(csv_path.string(), std::string(images.status().message()));
  report.images = *std::move(images);
  return report;
}

std::string ProtocolText(const Json& protocol) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : protocol.items()) {
    parts.push_back(
        absl::StrCat(key, " ", value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return absl::StrJoin(parts, ", ");
}

// Images of `one` that `other` lacks, and the first of them.
std::pair<size_t, std::string> OnlyIn(const Report& one, const Report& other) {
  std::pair<size_t, std::string> only{0, ""};
  for (const auto& [id, row] : one.images) {
    if (other.images.contains(id)) continue;
    if (only.first++ == 0) only.second = id;
  }
  return only;
}

absl::Status CheckSameImages(const Report& a, const Report& b) {
  const auto [only_a, first_a] = OnlyIn(a, b);
  const auto [only_b, first_b] = OnlyIn(b, a);
  if (only_a + only_b > 0) {
    std::string text = absl::StrCat("other images: ", a.images.size() - only_a, " are in both");
    if (only_a > 0) absl::StrAppend(&text, ", ", only_a, " only in A (", first_a, ")");
    if (only_b > 0) absl::StrAppend(&text, ", ", only_b, " only in B (", first_b, ")");
    return absl::InvalidArgumentError(text);
  }
  for (const auto& [id, row] : a.images) {
    const ImageRow& other = b.images.at(id);
    for (size_t i = 0; i < kTruthColumns.size(); ++i) {
      if (row.truth[i] == other.truth[i]) continue;
      return absl::InvalidArgumentError(absl::StrCat("another truth: image ", id, " has ",
                                                     kTruthColumns[i], " ", row.truth[i],
                                                     " in A and ", other.truth[i], " in B"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckComparable(const Report& a, const Report& b) {
  if (a.protocol != b.protocol) {
    return absl::InvalidArgumentError(absl::StrCat("another protocol: A has ",
                                                   ProtocolText(a.protocol), "; B has ",
                                                   ProtocolText(b.protocol)));
  }
  if (a.image_size != b.image_size) {
    return absl::InvalidArgumentError(absl::StrCat("another truth size: A is scored at ",
                                                   a.image_size, " pixels, B at ", b.image_size));
  }
  return CheckSameImages(a, b);
}

std::vector<metric::PairedComparison> Compare(const Report& a, const Report& b, uint64_t seed) {
  std::vector<metric::PairedComparison> compared;
  for (size_t i = 0; i < kScores.size(); ++i) {
    std::vector<double> scores_a;
    std::vector<double> scores_b;
    for (const auto& [id, row] : a.images) {
      scores_a.push_back(row.scores[i]);
      scores_b.push_back(b.images.at(id).scores[i]);
    }
    compared.push_back(metric::ComparePaired(scores_a, scores_b, {.seed = seed}));
  }
  return compared;
}

void PrintTable(const Report& a, const Report& b,
                const std::vector<metric::PairedComparison>& compared, bool is_aligned,
                std::ostream& out) {
  for (const auto& [letter, report] : {std::pair('A', &a), std::pair('B', &b)}) {
    out << letter << ": "
        << log::EscapeControl(absl::StrCat(report->name, ", checkpoint ", report->checkpoint))
        << "\n";
  }
  out << log::EscapeControl(absl::StrCat(a.images.size(), " images in both, ", a.split,
                                         " split, network size ", a.image_size, ", ",
                                         ProtocolText(a.protocol)))
      << "\n";
  std::vector<std::array<std::string, 6>> rows = {
      {"SCORE", "A", "B", "B - A", "95% INTERVAL", "P"}};
  for (size_t i = 0; i < kScores.size(); ++i) {
    const metric::PairedComparison& c = compared[i];
    rows.push_back({kScores[i].title, absl::StrFormat("%.4f", c.mean_a),
                    absl::StrFormat("%.4f", c.mean_b), absl::StrFormat("%+.4f", c.difference.mean),
                    absl::StrFormat("%+.4f to %+.4f", c.difference.low, c.difference.high),
                    absl::StrFormat("%.4f", c.p_value)});
  }
  std::array<size_t, 6> widths{};
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool is_last = i + 1 == row.size();
      out << row[i];
      if (is_last) continue;
      out << (is_aligned ? std::string(widths[i] - row[i].size() + 2, ' ') : "\t");
    }
    out << "\n";
  }
  out << "The interval is a paired bootstrap over images, p a two-sided sign-flip test. Both "
         "speak for these\nimages and this one training run each, not for other random seeds.\n";
}

Json ReportJson(const Report& report) {
  return {{"name", report.name}, {"title", report.title}, {"checkpointSha256", report.checkpoint}};
}

void PrintJson(const Report& a, const Report& b,
               const std::vector<metric::PairedComparison>& compared, std::ostream& out) {
  Json scores;
  for (size_t i = 0; i < kScores.size(); ++i) {
    const metric::PairedComparison& c = compared[i];
    scores[kScores[i].name] = {{"a", c.mean_a},
                               {"b", c.mean_b},
                               {"difference", c.difference.mean},
                               {"ciLow", c.difference.low},
                               {"ciHigh", c.difference.high},
                               {"pValue", c.p_value}};
  }
  const Json json = {{"a", ReportJson(a)},         {"b", ReportJson(b)},
                     {"images", a.images.size()},  {"split", a.split},
                     {"imageSize", a.image_size},  {"protocol", a.protocol},
                     {"scores", std::move(scores)}};
  out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

}  // namespace

absl::Status CompareReports(const CompareOptions& options, std::ostream& out) {
  G2LL_ASSIGN_OR_RETURN(const Report a, ReadReport(options.a, options.name_a));
  G2LL_ASSIGN_OR_RETURN(const Report b, ReadReport(options.b, options.name_b));
  if (const absl::Status status = CheckComparable(a, b); !status.ok()) {
    return Invalid(absl::StrCat("cannot compare A = ", a.name, " with B = ", b.name),
                   std::string(status.message()));
  }
  const std::vector<metric::PairedComparison> compared = Compare(a, b, options.seed);
  if (options.output == "json") {
    PrintJson(a, b, compared, out);
  } else {
    PrintTable(a, b, compared, options.is_aligned, out);
  }
  return absl::OkStatus();
}

}  // namespace g2ll::tool
