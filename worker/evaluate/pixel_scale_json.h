#ifndef WORKER_EVALUATE_PIXEL_SCALE_JSON_H_
#define WORKER_EVALUATE_PIXEL_SCALE_JSON_H_

#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "worker/data/pixel_scale.h"

namespace g2ll::evaluate {

// How a model wants its pixels scaled, from its `export_config.json` or `config.json`:
// the keys `mean` and `std`, or the key `norm` alone where it is `imagenet` or `unit`.
// Error: DataLoss (neither, or numbers that cannot scale anything).
absl::StatusOr<data::PixelScale> ReadPixelScale(const nlohmann::json& config);

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_PIXEL_SCALE_JSON_H_
