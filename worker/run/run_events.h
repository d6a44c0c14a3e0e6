#ifndef WORKER_RUN_RUN_EVENTS_H_
#define WORKER_RUN_RUN_EVENTS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"

namespace g2ll::run {

// One value of one metric.
struct MetricSample {
  std::string name;  // for example `loss` or `val/dice`
  double value = 0;  // may be NaN or infinite
  int64_t step = 0;  // optimiser updates finished
  double epoch = 0;  // passes over the data finished, with fraction
};

// How far a run is.
struct Progress {
  int64_t step = 0;
  int64_t total_steps = 0;
  double epoch = 0;
  double images_per_second = 0;  // over all ranks, smoothed
  double eta_seconds = -1;       // negative: not known
};

// A complete checkpoint directory.
struct WrittenCheckpoint {
  int64_t step = 0;
  std::string path;             // relative to the storage root
  std::string manifest_sha256;  // hexadecimal
  int64_t size_bytes = 0;
  std::map<std::string, double> metrics;
  bool best = false;  // best validation value so far
};

// What a run tells the outside world. The seam between training code and the
// process around it: the trainer program implements it over the channel to its
// agent, tests with a recorder. Called from the training thread only.
class RunEvents {
 public:
  virtual ~RunEvents() = default;
  // The first collective is done.
  virtual void OnJoined() = 0;
  // Queued without blocking on the outside world; kept in order.
  virtual void OnMetric(const MetricSample& sample) = 0;
  virtual void OnProgress(const Progress& progress) = 0;
  // Waits until the checkpoint counts. Errors: Aborted (a newer attempt exists:
  // stop at once), anything else: it does not count, the run may go on.
  virtual absl::Status OnCheckpoint(const WrittenCheckpoint& checkpoint) = 0;
  // A report directory, relative to the storage root, is complete.
  virtual void OnReport(const std::string& path) = 0;
};

}  // namespace g2ll::run

#endif  // WORKER_RUN_RUN_EVENTS_H_
