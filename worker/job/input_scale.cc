#include "worker/job/input_scale.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_join.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/data/pixel_statistics.h"
#include "worker/evaluate/pixel_scale_json.h"

namespace g2ll::job {
namespace {

std::optional<data::PixelScale> SourceScale(const std::string& source_config) {
  const auto config = nlohmann::json::parse(source_config, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return std::nullopt;
  const absl::StatusOr<data::PixelScale> scale = evaluate::ReadPixelScale(config);
  return scale.ok() ? std::optional(*scale) : std::nullopt;
}

void LogScale(const char* from, const data::PixelScale& scale) {
  log::Info("pixel scale", {{"from", from},
                            {"mean", absl::StrJoin(scale.mean, " ")},
                            {"std", absl::StrJoin(scale.deviation, " ")}});
}

}  // namespace

absl::StatusOr<data::PixelScale> InputScaleOf(const InputScaleRequest& request,
                                              const data::Dataset& images) {
  if (request.norm == v1::DataSpec::UNIT) return data::kUnitScale;
  if (request.norm != v1::DataSpec::DATASET) return data::kImagenetScale;
  if (const auto source = SourceScale(request.source_config)) {
    LogScale("the model that the job starts from", *source);
    return *source;
  }
  G2LL_ASSIGN_OR_RETURN(
      const data::PixelScale measured,
      data::MeasurePixels(images, request.image_size, data::kMaxMeasuredImages, request.threads));
  LogScale("the training images", measured);
  return measured;
}

}  // namespace g2ll::job
