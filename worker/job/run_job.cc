#include "worker/job/run_job.h"

#include <ATen/Parallel.h>
#include <google/protobuf/util/json_util.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "proto/common/log.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/dist/c10d_collective.h"
#include "worker/dist/cuda_backend.h"
#include "worker/job/outcome.h"
#include "worker/job/rank_context.h"
#include "worker/train/failure.h"

namespace g2ll::job {
namespace {

using train::FailureKind;
using train::WithFailure;

constexpr absl::Duration kDefaultCollectiveTimeout = absl::Minutes(5);

// One thread for independent operations: a step is one chain of them.
void SetThreads(int threads) {
  at::set_num_threads(std::max(1, threads));
  at::set_num_interop_threads(1);
}

absl::StatusOr<torch::Device> OpenDevice(const trainer::v1::Assignment& assignment) {
  if (assignment.device() != "cuda") return torch::Device(torch::kCPU);
  G2LL_RETURN_IF_ERROR(
      WithFailure(dist::LoadCudaBackend(assignment.local_rank()), FailureKind::kConfig));
  return torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(assignment.local_rank()));
}

absl::StatusOr<std::unique_ptr<dist::Collective>> Join(const trainer::v1::Assignment& assignment,
                                                       torch::Device device) {
  if (assignment.world_size() <= 1 && device.is_cpu()) {
    return std::make_unique<dist::LocalCollective>();
  }
  dist::C10dOptions options;
  const std::string& address = assignment.store_address();
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos ||
      std::from_chars(address.data() + colon + 1, address.data() + address.size(),
                      options.store_port)
              .ec != std::errc()) {
    return absl::InvalidArgumentError(
        absl::StrCat("assignment: store address `", address, "` is not host:port"));
  }
  options.store_host = address.substr(0, colon);
  if (options.store_host.starts_with('[') && options.store_host.ends_with(']')) {
    options.store_host = options.store_host.substr(1, options.store_host.size() - 2);
  }
  options.store_prefix = assignment.store_prefix();
  options.rank = assignment.rank();
  options.world_size = assignment.world_size();
  const absl::Duration timeout = absl::Seconds(assignment.collective_timeout().seconds()) +
                                 absl::Nanoseconds(assignment.collective_timeout().nanos());
  options.timeout = timeout > absl::ZeroDuration() ? timeout : kDefaultCollectiveTimeout;
  options.advertise_host = assignment.advertise_host();
  options.device = device;
  return dist::JoinC10dGroup(options);
}

// The first collective. Ranks of different attempts, specs or builds would train
// nonsense together, so they compare first.
absl::Status CheckPeers(const trainer::v1::Assignment& assignment, dist::Collective& collective) {
  torch::Tensor ones = torch::ones({1});
  collective.AllReduceSum(ones);
  if (ones.item<float>() != static_cast<float>(assignment.world_size())) {
    return absl::InternalError(absl::StrCat("the first all-reduce gave ", ones.item<float>(),
                                            " over ", assignment.world_size(), " ranks"));
  }
  const std::string mine =
      absl::StrCat("epoch ", assignment.epoch(), ", config ",
                   ConfigDigest(assignment).substr(0, 16), ", libtorch ", TORCH_VERSION);
  const std::vector<std::string> all = collective.AllGather(mine);
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "rank ", rank, " runs another job than rank 0: ", all[rank], " there, ", all[0], " here"));
  }
  return absl::OkStatus();
}

absl::Status Run(const trainer::v1::Assignment& assignment, run::RunEvents& events,
                 std::stop_token stop) {
  SetThreads(assignment.threads());
  G2LL_ASSIGN_OR_RETURN(const torch::Device device, OpenDevice(assignment));
  auto collective = Join(assignment, device);
  if (!collective.ok()) return WithFailure(collective.status(), FailureKind::kCollective);
  G2LL_RETURN_IF_ERROR(WithFailure(CheckPeers(assignment, **collective), FailureKind::kConfig));
  log::Info("joined", {{"job", assignment.job()},
                       {"epoch", assignment.epoch()},
                       {"rank", assignment.rank()},
                       {"world_size", assignment.world_size()},
                       {"device", device.str()},
                       {"threads", at::get_num_threads()}});
  events.OnJoined();

  const RankContext context{assignment, events, std::move(stop), device, **collective};
  switch (assignment.spec().kind_case()) {
    case v1::JobSpec::kPretrain:
      return RunPretrain(context);
    case v1::JobSpec::kFinetune:
      return RunFinetune(context);
    case v1::JobSpec::kEvaluate:
      return RunEvaluate(context);
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return WithFailure(absl::InvalidArgumentError("assignment: the spec has no kind"),
                     FailureKind::kConfig);
}

}  // namespace

std::string ShortJobName(const trainer::v1::Assignment& assignment) {
  return assignment.job().substr(assignment.job().rfind('/') + 1);
}

std::string ConfigJson(const trainer::v1::Assignment& assignment) {
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  // Cannot fail: the message is well-formed and has no Any.
  const auto status =
      google::protobuf::util::MessageToJsonString(assignment.spec(), &json, options);
  return status.ok() ? json : "{}";
}

std::string ConfigDigest(const trainer::v1::Assignment& assignment) {
  return checkpoint::Sha256Of(ConfigJson(assignment));
}

absl::Status RunJob(const trainer::v1::Assignment& assignment, run::RunEvents& events,
                    std::stop_token stop) {
  return CatchExceptions([&] { return Run(assignment, events, stop); });
}

}  // namespace g2ll::job
