#ifndef WORKER_EVALUATE_RUN_HISTORY_H_
#define WORKER_EVALUATE_RUN_HISTORY_H_

#include "worker/report/report.h"
#include "worker/train/history.h"

namespace g2ll::evaluate {

// A job's run as a report shows it.
report::RunHistory ToReport(const train::RunRecord& run);

}  // namespace g2ll::evaluate

#endif  // WORKER_EVALUATE_RUN_HISTORY_H_
