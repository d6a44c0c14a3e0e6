#ifndef WORKER_AGENT_RANK_PROCESS_H_
#define WORKER_AGENT_RANK_PROCESS_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "g2ll/trainer/v1/trainer.pb.h"
#include "worker/agent/failure.h"
#include "worker/agent/log_lines.h"
#include "worker/agent/process_spawner.h"
#include "worker/agent/telemetry_outbox.h"
#include "worker/run/frame_channel.h"

namespace g2ll::agent {

// What a trainer reports, besides metrics and log lines. Called from the thread of
// its RankProcess, one call at a time per rank.
class RankListener {
 public:
  virtual ~RankListener() = default;
  virtual void OnJoined(int rank) = 0;
  virtual void OnProgress(int rank, const v1::Progress& progress) = 0;
  // Everything that the rank wrote before is in the outbox.
  virtual void OnCheckpoint(int rank, const trainer::v1::CheckpointWritten& checkpoint) = 0;
  virtual void OnReport(int rank, const std::string& path) = 0;
  // Last call: the process is gone and all it wrote is in the outbox.
  virtual void OnEnded(const RankEnd& end) = 0;
};

// One trainer child. A thread of its own reads its frames and its output until it
// has ended; while the outbox is full it does not read, so that the trainer waits.
class RankProcess {
 public:
  struct Launch {
    std::string trainer;  // path of the program
    AttemptKey attempt;
    trainer::v1::Assignment assignment;
  };

  // Starts the trainer and sends its assignment. `outbox` and `listener` outlive the
  // object. Errors: those of Spawn.
  static absl::StatusOr<std::unique_ptr<RankProcess>> Start(ProcessSpawner& spawner,
                                                            const Launch& launch,
                                                            TelemetryOutbox& outbox,
                                                            RankListener& listener);
  // Kills the process if it still runs.
  ~RankProcess();

  int pid() const { return static_cast<int>(child_->pid()); }
  int rank() const { return rank_; }

  // Writes a message down; a trainer that is gone is no error, its end is reported.
  void Send(const trainer::v1::ToTrainer& message);
  // Sends a signal to the trainer's process group.
  void Signal(int signal) { child_->SignalGroup(signal); }

 private:
  RankProcess(const Launch& launch, std::unique_ptr<ChildProcess> child, run::UniqueFd channel,
              TelemetryOutbox& outbox, RankListener& listener);

  void Loop();
  // Each reads what is there without waiting; false at the end of the stream.
  bool ReadOutput();
  bool ReadChannel();
  void HandleFrames();
  void Handle(const trainer::v1::FromTrainer& message);
  void Store(const std::vector<LogLine>& lines);
  void Store(v1::TelemetryItem item);
  // The trainer does not keep to the protocol: end it with a failure that says so.
  void Reject(const std::string& why);

  const AttemptKey attempt_;
  const int rank_;
  const std::unique_ptr<ChildProcess> child_;
  run::FrameChannel channel_;  // writing side; Loop reads its descriptor itself
  TelemetryOutbox& outbox_;
  RankListener& listener_;

  // Used by the thread only.
  run::FrameDecoder decoder_;
  LogLineSplitter splitter_;
  RankEnd end_;
  bool rejected_ = false;

  std::jthread thread_;
};

}  // namespace g2ll::agent

#endif  // WORKER_AGENT_RANK_PROCESS_H_
