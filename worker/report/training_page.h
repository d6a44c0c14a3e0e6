#ifndef WORKER_REPORT_TRAINING_PAGE_H_
#define WORKER_REPORT_TRAINING_PAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "worker/report/training_report.h"

namespace g2ll::report {

// The whole of a training run's report.html: one file, style and pictures inside, no
// scripts, nothing from a network. All text that comes from outside is escaped.
// Error: what a picture cannot be encoded for.
absl::StatusOr<std::string> BuildTrainingPage(const TrainingReport& report);

}  // namespace g2ll::report

#endif  // WORKER_REPORT_TRAINING_PAGE_H_
