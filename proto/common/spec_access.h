#ifndef PROTO_COMMON_SPEC_ACCESS_H_
#define PROTO_COMMON_SPEC_ACCESS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "g2ll/v1/spec.pb.h"

// What the kinds of job have in common. The readers return a message without
// fields where the spec has no kind or the kind has no such group; the
// references live as long as the spec.
namespace g2ll::spec {

// `PretrainJob`, `FinetuneJob` or `EvaluateJob`; empty where no kind is set.
std::string_view KindName(const v1::JobSpec& spec);

// Makes `spec` an empty spec of this kind. False, and no change, if `kind` is none.
bool SetKind(std::string_view kind, v1::JobSpec* spec);

// The one message inside the oneof; null where no kind is set.
const google::protobuf::Message* KindMessage(const v1::JobSpec& spec);
google::protobuf::Message* MutableKindMessage(v1::JobSpec* spec);

const v1::DataSpec& Data(const v1::JobSpec& spec);
const v1::ResourceSpec& Resources(const v1::JobSpec& spec);
const v1::PolicySpec& Policy(const v1::JobSpec& spec);
const v1::TrainSpec& Train(const v1::JobSpec& spec);
// Empty for an EvaluateJob.
const v1::OptimSpec& Optim(const v1::JobSpec& spec);
// Sizes of the networks; empty for an EvaluateJob, whose checkpoint has them.
const v1::ModelSpec& Model(const v1::JobSpec& spec);
// Short names of jobs, as given in `dependsOn`.
std::vector<std::string> DependsOn(const v1::JobSpec& spec);
// PAPER where none is given.
v1::Recipe RecipeOf(const v1::JobSpec& spec);
int64_t SeedOf(const v1::JobSpec& spec);
// `init.from` or `model.from`; empty where the kind has none or none is given.
std::string SourceOf(const v1::JobSpec& spec);

// `spec` must have a kind.
v1::DataSpec* MutableData(v1::JobSpec* spec);
// Sets `init.from` or `model.from`; no change for a PretrainJob.
void SetSource(std::string_view from, v1::JobSpec* spec);

// Where a job's starting network comes from, taken apart.
struct Source {
  enum class Kind { kNone, kJob, kCheckpoint, kFile, kMalformed };
  Kind kind = Kind::kNone;
  std::string value;  // name of the job, id of the checkpoint or path
};

// Takes `job/NAME`, `checkpoint/ID`, `file:PATH`, `none` or nothing apart.
Source ParseSource(std::string_view from);

}  // namespace g2ll::spec

#endif  // PROTO_COMMON_SPEC_ACCESS_H_
