#include "worker/evaluate/pixel_scale_json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"

namespace g2ll::evaluate {

absl::StatusOr<data::PixelScale> ReadPixelScale(const nlohmann::json& config) {
  try {
    if (!config.contains("mean") || !config.contains("std")) {
      const std::string norm = config.at("norm").get<std::string>();
      if (norm == "imagenet") return data::kImagenetScale;
      if (norm == "unit") return data::kUnitScale;
      return absl::DataLossError(absl::StrCat("norm ", norm, " without mean and std"));
    }
    data::PixelScale scale;
    config.at("mean").get_to(scale.mean);
    config.at("std").get_to(scale.deviation);
    const bool is_usable = std::all_of(scale.mean.begin(), scale.mean.end(),
                                       [](double v) { return std::isfinite(v); }) &&
                           std::all_of(scale.deviation.begin(), scale.deviation.end(),
                                       [](double v) { return std::isfinite(v) && v > 0; });
    if (!is_usable) return absl::DataLossError("mean and std: std must be above 0");
    return scale;
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(error.what());
  }
}

}  // namespace g2ll::evaluate
