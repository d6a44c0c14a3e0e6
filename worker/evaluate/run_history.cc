#include "worker/evaluate/run_history.h"

namespace g2ll::evaluate {

report::RunHistory ToReport(const train::RunRecord& run) {
  report::RunHistory history{run.job, run.kind, run.seconds, run.images_per_second, run.images, {}};
  for (const auto& [name, series] : run.series) {
    history.series[name] = series.points();
  }
  return history;
}

}  // namespace g2ll::evaluate
