#include "worker/train/history.h"

#include <nlohmann/json.hpp>

namespace g2ll::train {
namespace {

constexpr size_t kMaxPoints = 500;

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
    entry["seconds"] = run.seconds;
    entry["imagesPerSecond"] = run.images_per_second;
    entry["images"] = run.images;
    entry["series"] = nlohmann::ordered_json::object();
    for (const auto& [name, series] : run.series) {
      nlohmann::ordered_json points = nlohmann::ordered_json::array();
      for (const auto& [step, value] : series.points()) points.push_back({step, value});
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
      entry.at("seconds").get_to(run.seconds);
      entry.at("imagesPerSecond").get_to(run.images_per_second);
      entry.at("images").get_to(run.images);
      for (const auto& [name, points] : entry.at("series").items()) {
        Series& series = run.series[name];
        for (const nlohmann::json& point : points) {
          series.Add(point.at(0).get<int64_t>(), point.at(1).get<double>());
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
