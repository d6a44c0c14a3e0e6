#include "worker/train/history.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace g2ll::train {
namespace {

constexpr size_t kMaxPoints = 500;

// JSON knows no NaN and no infinity: they are strings, as in protobuf's JSON.
nlohmann::ordered_json JsonNumber(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

// Throws nlohmann::json::exception for what is neither a number nor such a string.
double ParseNumber(const nlohmann::json& json) {
  if (json == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (json == "Infinity") return std::numeric_limits<double>::infinity();
  if (json == "-Infinity") return -std::numeric_limits<double>::infinity();
  return json.get<double>();
}

}  // namespace

void Series::Add(int64_t step, double value) {
  if (num_seen_++ % stride_ != 0) return;
  if (points_.size() == kMaxPoints) {
    for (size_t i = 0; i < kMaxPoints / 2; ++i) points_[i] = points_[2 * i];
    points_.resize(kMaxPoints / 2);
    stride_ *= 2;
  }
  points_.emplace_back(step, value);
}

std::string FormatHistory(const History& history) {
  nlohmann::ordered_json document;
  document["runs"] = nlohmann::ordered_json::array();
  for (const RunRecord& run : history.runs) {
    nlohmann::ordered_json entry;
    entry["job"] = run.job;
    entry["kind"] = run.kind;
    entry["seconds"] = JsonNumber(run.seconds);
    entry["imagesPerSecond"] = JsonNumber(run.images_per_second);
    entry["images"] = run.images;
    entry["series"] = nlohmann::ordered_json::object();
    for (const auto& [name, series] : run.series) {
      nlohmann::ordered_json points = nlohmann::ordered_json::array();
      for (const auto& [step, value] : series.points()) {
        points.push_back({step, JsonNumber(value)});
      }
      entry["series"][name] = std::move(points);
    }
    document["runs"].push_back(std::move(entry));
  }
  document["pretrainIds"] = history.pretrain_ids;
  return document.dump();
}

absl::StatusOr<History> ParseHistory(std::string_view json) {
  try {
    const nlohmann::json document = nlohmann::json::parse(json);
    History history;
    for (const nlohmann::json& entry : document.at("runs")) {
      RunRecord run;
      entry.at("job").get_to(run.job);
      entry.at("kind").get_to(run.kind);
      run.seconds = ParseNumber(entry.at("seconds"));
      run.images_per_second = ParseNumber(entry.at("imagesPerSecond"));
      entry.at("images").get_to(run.images);
      for (const auto& [name, points] : entry.at("series").items()) {
        Series& series = run.series[name];
        for (const nlohmann::json& point : points) {
          series.Add(point.at(0).get<int64_t>(), ParseNumber(point.at(1)));
        }
      }
      history.runs.push_back(std::move(run));
    }
    if (document.contains("pretrainIds")) {
      document.at("pretrainIds").get_to(history.pretrain_ids);
    }
    return history;
  } catch (const nlohmann::json::exception& e) {
    return absl::DataLossError(std::string("history.json: ") + e.what());
  }
}

}  // namespace g2ll::train
