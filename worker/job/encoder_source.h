#ifndef WORKER_JOB_ENCODER_SOURCE_H_
#define WORKER_JOB_ENCODER_SOURCE_H_

#include <string>

#include "absl/status/statusor.h"
#include "g2ll/trainer/v1/trainer.pb.h"
#include "worker/train/history.h"

namespace g2ll::job {

// The encoder that fine-tuning starts from. Private to this folder.
struct EncoderSource {
  std::string file;  // absolute; empty: none, train from scratch
  bool has_learned_positions = false;
  std::string config;  // what it says about itself, JSON; empty: nothing
  train::History history;
};

// Opens the source of a FinetuneJob's assignment and compares what it says about itself
// with the job, before anything else is read. A checkpoint is verified whole and gives
// the network of `seg.encoder`; unset, the teacher's where it has one, which is logged.
// An exported model is its folder, or its `model.safetensors`, with `config.json` beside.
// Without a source the positions are those of `model.positions`.
//
// Errors, with a FailureKind, one line: a damaged or missing checkpoint of a job, or a source
// that cannot be read (kStorage); a `file:` source that is not there or is no model, a source
// for a network without an encoder, another number of heads or another pixel scaling than
// the job's, positions that are not what the source says (kConfig).
absl::StatusOr<EncoderSource> OpenEncoderSource(const trainer::v1::Assignment& assignment);

}  // namespace g2ll::job

#endif  // WORKER_JOB_ENCODER_SOURCE_H_
