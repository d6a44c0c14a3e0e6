#ifndef WORKER_REPORT_JSON_NUMBER_H_
#define WORKER_REPORT_JSON_NUMBER_H_

#include <cmath>
#include <nlohmann/json.hpp>

namespace g2ll::report {

// A number, or the texts "NaN", "Infinity" and "-Infinity", which JSON has no numbers for.
inline nlohmann::ordered_json JsonNumber(double value) {
  if (std::isnan(value)) {
    return "NaN";
  }
  if (std::isinf(value)) {
    return value > 0 ? "Infinity" : "-Infinity";
  }
  return value;
}

}  // namespace g2ll::report

#endif  // WORKER_REPORT_JSON_NUMBER_H_
