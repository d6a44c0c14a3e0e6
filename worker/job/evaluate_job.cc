#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "proto/common/spec_access.h"
#include "proto/common/status_macros.h"
#include "worker/evaluate/evaluation.h"
#include "worker/job/rank_context.h"
#include "worker/train/failure.h"

namespace g2ll::job {
namespace {

evaluate::Protocol ProtocolOf(const v1::EvalSpec& spec) {
  evaluate::Protocol protocol;
  if (spec.tta() == v1::EvalSpec::FLIPS) protocol.tta = evaluate::Tta::kFlips;
  if (spec.postprocess() == v1::EvalSpec::LARGEST_COMPONENT) {
    protocol.postprocess = evaluate::Postprocess::kLargestComponent;
  }
  return protocol;
}

}  // namespace

using train::FailureKind;
using train::WithFailure;

absl::Status RunEvaluate(const RankContext& context) {
  const trainer::v1::Assignment& assignment = context.assignment;
  const v1::EvaluateSpec& spec = assignment.spec().evaluate();
  if (context.collective.world_size() != 1) {
    return WithFailure(
        absl::InvalidArgumentError(absl::StrCat("an EvaluateJob runs on one rank, not on ",
                                                context.collective.world_size(),
                                                "; set resources.ranks to {min: 1, max: 1}")),
        FailureKind::kConfig);
  }
  if (assignment.source_path().empty()) {
    return WithFailure(absl::InvalidArgumentError("model.from: an EvaluateJob needs a model"),
                       FailureKind::kConfig);
  }
  evaluate::EvaluationOptions options;
  options.job = ShortJobName(assignment);
  G2LL_ASSIGN_OR_RETURN(options.data, DatasetOf(spec.data()));
  options.data.needs_masks = true;
  options.checkpoint =
      (std::filesystem::path(assignment.storage_root()) / assignment.source_path()).string();
  options.is_path_given = spec::ParseSource(spec.model().from()).kind == spec::Source::Kind::kFile;
  options.storage_root = assignment.storage_root();
  options.report_path = assignment.report_path();
  options.protocol = ProtocolOf(spec.eval());
  options.batch = std::max<int64_t>(1, spec.train().global_batch());
  options.threads = context.threads();
  options.device = context.device.str();
  options.seed = static_cast<uint64_t>(spec.seed());
  return evaluate::RunEvaluation(options, context.events, context.stop);
}

}  // namespace g2ll::job
