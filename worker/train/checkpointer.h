#ifndef WORKER_TRAIN_CHECKPOINTER_H_
#define WORKER_TRAIN_CHECKPOINTER_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/run/run_events.h"
#include "worker/train/adamw.h"
#include "worker/train/history.h"
#include "worker/train/train_task.h"

namespace g2ll::train {

// Decides when a run is saved, writes complete checkpoint directories and takes
// a run up again from one.
//
// A directory `{parent}/s{step}` holds what the task adds (the networks),
// `optimizer.safetensors`, `state.json` (step and best score), `history.json`,
// `config.json` (the job), `export_config.json` (the network's shape) and
// `training_ids.txt` (one id a line: the subset that the run learns from).
// Not thread-safe.
class Checkpointer {
 public:
  struct Options {
    std::string storage_root;  // absolute
    std::string parent;        // of the checkpoints, relative to the storage root
    // Job, kind, epoch and config digest; the rest is filled in.
    checkpoint::Manifest manifest;
    std::string config_json;
    std::string export_config_json;
    // Images that the run learns from, for the record.
    std::vector<std::string> training_ids;
    // Longest time between two checkpoints; infinite: only at the end.
    absl::Duration every = absl::InfiniteDuration();
    // Score whose best state is saved as soon as it is reached; empty: none.
    std::string selection_score;
  };

  // `events` and `history` must outlive this object. The history's last run is
  // that of this job.
  Checkpointer(const Options& options, run::RunEvents& events, History& history);

  // Remembers whether these scores are the best so far.
  void OnScores(const Scores& scores, int64_t num_steps);

  // Whether a checkpoint is to be written now.
  bool IsDue(bool is_last) const;

  // Writes a checkpoint after `finished.step` updates and waits for its verdict.
  // Errors, with a FailureKind: fenced; storage; a checkpoint in mid-run that
  // does not count is only logged.
  absl::Status Save(const StepContext& finished, bool is_last, const TrainTask& task,
                    const AdamW& optimizer, const std::map<std::string, double>& metrics);

  // Checks the directory (absolute) and takes over networks, moments, history and
  // best score. Returns the updates finished. Errors: DataLoss, FailedPrecondition,
  // InvalidArgument, naming file or tensors.
  absl::StatusOr<int64_t> Restore(const std::string& directory, TrainTask& task, AdamW& optimizer);

 private:
  struct Best {
    double value = 0;
    int64_t step = 0;
  };

  absl::StatusOr<run::WrittenCheckpoint> Write(const StepContext& finished, const TrainTask& task,
                                               const AdamW& optimizer) const;
  std::string StateJson(int64_t step) const;
  absl::StatusOr<int64_t> ReadState(const std::string& directory);

  Options options_;
  run::RunEvents& events_;
  History& history_;
  std::optional<Best> best_;
  bool is_best_now_ = false;  // the newest scores are the best and not yet saved
  std::chrono::steady_clock::time_point last_save_;
};

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_CHECKPOINTER_H_
