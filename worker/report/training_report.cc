#include "worker/report/training_report.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "proto/common/status_macros.h"
#include "worker/data/image_codec.h"
#include "worker/report/json_number.h"
#include "worker/report/page.h"
#include "worker/report/training_page.h"

namespace g2ll::report {
namespace {

using Json = nlohmann::ordered_json;

// The newest value of every curve.
Json FinalValues(const RunHistory& run) {
  Json values = Json::object();
  for (const auto& [name, points] : run.series) {
    if (!points.empty()) values[name] = JsonNumber(points.back().second);
  }
  return values;
}

Json SettingsJson(const std::vector<Setting>& settings) {
  Json rows = Json::array();
  for (const Setting& setting : settings) {
    rows.push_back({{"path", setting.path},
                    {"value", setting.value},
                    {"isDefault", setting.is_default},
                    {"source", setting.source}});
  }
  return rows;
}

std::string BuildJson(const TrainingReport& report) {
  int64_t step = 0;
  for (const auto& [name, points] : report.run.series) {
    if (!points.empty()) step = std::max(step, points.back().first);
  }
  const Json json = {
      {"title", report.title},
      {"job", report.run.job},
      {"kind", report.run.kind},
      {"method", report.method},
      {"dataSource", report.data_source},
      {"split", report.split},
      {"images", report.images},
      {"excludedImages", report.excluded_ids.size()},
      {"excludedIds", report.excluded_ids},
      {"step", step},
      {"final", FinalValues(report.run)},
      {"phases", Json::array({{{"name", PhaseName(report.run.kind)},
                               {"job", report.run.job},
                               {"seconds", JsonNumber(report.run.seconds)},
                               {"images", report.run.images},
                               {"imagesPerSecond", JsonNumber(report.run.images_per_second)}}})},
      {"checkpoint", report.checkpoint},
      {"settings", SettingsJson(report.settings)},
  };
  // File names may hold bytes that are not UTF-8; they must not lose the report.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

absl::Status WriteTrainingReport(const TrainingReport& report, const std::string& directory) {
  const std::filesystem::path root(directory);
  G2LL_ASSIGN_OR_RETURN(const std::string page, BuildTrainingPage(report));
  G2LL_RETURN_IF_ERROR(data::WriteFileAtomically((root / "report.html").string(), page));
  return data::WriteFileAtomically((root / "report.json").string(), BuildJson(report));
}

}  // namespace g2ll::report
