#include "worker/dist/c10d_collective.h"

#include <chrono>
#include <exception>
#include <numeric>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/dist/cuda_plugin_api.h"

namespace g2ll::dist {
namespace {

// The first bucket to be full in the backward pass is small, so that its reduction
// starts early; sizes as in PyTorch's DistributedDataParallel.
constexpr size_t kFirstBucketBytes = 1 << 20;
constexpr size_t kBucketBytes = 25 << 20;

std::string FirstLine(const std::exception& e) {
  const std::string text = e.what();
  return text.substr(0, text.find('\n'));
}

// The backward pass can fail for other reasons than a lost peer; Gloo and NCCL
// throw plain runtime errors, told apart by what they say.
bool IsCommunicationFault(const std::string& message) {
  for (const char* word : {"gloo", "NCCL", "Connection closed", "Connection reset", "Timed out",
                           "timed out", "TCPStore", "process group", "Socket"}) {
    if (message.find(word) != std::string::npos) return true;
  }
  return false;
}

using Group = c10::intrusive_ptr<c10d::ProcessGroup>;

class C10dReducer final : public GradientReducer {
 public:
  C10dReducer(const Group& group, std::vector<torch::Tensor> parameters)
      : parameters_(std::move(parameters)) {
    const std::vector<bool> sparse(parameters_.size(), false);
    // The backward pass produces gradients from the last layer to the first.
    const std::vector<torch::Tensor> backwards(parameters_.rbegin(), parameters_.rend());
    std::vector<int64_t> places(parameters_.size());
    std::iota(places.rbegin(), places.rend(), 0);
    const auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(
        backwards, {kFirstBucketBytes, kBucketBytes}, sparse, places);
    const std::vector<int64_t> caps(limits.begin(), limits.end());
    // Buckets keep this order for good (rebuild_buckets is never called): with
    // three or more ranks another order is another order of sums, and a resumed
    // run would differ from one that was never stopped.
    reducer_ = std::make_unique<c10d::Reducer>(
        parameters_, buckets, group, sparse, kBucketBytes, /*find_unused_parameters=*/false,
        /*gradient_as_bucket_view=*/true, std::unordered_map<size_t, std::string>{},
        kFirstBucketBytes, /*skip_all_reduce_unused_params=*/false,
        /*use_python_reducer=*/false, caps);
  }

  void ZeroGradients() override {
    for (torch::Tensor& parameter : parameters_) {
      if (parameter.grad().defined()) parameter.mutable_grad().zero_();
    }
    reducer_->prepare_for_forward();
  }

  void Backward(const torch::Tensor& loss, bool is_last) override {
    // The reducer's hooks do nothing before it is prepared: gradients only add up.
    if (!is_last) return loss.backward();
    try {
      reducer_->prepare_for_backward({loss});
      loss.backward();
    } catch (const std::exception& e) {
      if (!IsCommunicationFault(e.what())) throw;
      throw CollectiveError(absl::StrCat("gradient reduction: ", FirstLine(e)));
    }
  }

 private:
  std::vector<torch::Tensor> parameters_;
  std::unique_ptr<c10d::Reducer> reducer_;
};

class C10dCollective final : public Collective {
 public:
  C10dCollective(const C10dOptions& options, Group control, Group gradients)
      : options_(options), control_(std::move(control)), gradients_(std::move(gradients)) {}

  int rank() const override { return options_.rank; }
  int world_size() const override { return options_.world_size; }

  void AllReduceSum(torch::Tensor& tensor) override {
    Call("all-reduce", [&] {
      std::vector<torch::Tensor> tensors{tensor};
      control_->getBackend(tensor.device().type())->allreduce(tensors)->wait();
    });
  }

  std::unique_ptr<GradientReducer> MakeGradientReducer(
      std::vector<torch::Tensor> parameters) override {
    return std::make_unique<C10dReducer>(gradients_, std::move(parameters));
  }

 private:
  template <typename Function>
  void Call(const char* operation, Function&& function) {
    try {
      torch::NoGradGuard no_grad;
      function();
    } catch (const std::exception& e) {
      throw CollectiveError(absl::StrCat(operation, " on rank ", options_.rank, " of ",
                                         options_.world_size, ": ", FirstLine(e)));
    }
  }

  C10dOptions options_;
  Group control_;
  Group gradients_;
};

// One process group under a prefix of its own.
Group MakeGroup(const C10dOptions& options, const c10::intrusive_ptr<c10d::Store>& root,
                const std::string& name) {
  const std::chrono::milliseconds timeout(absl::ToInt64Milliseconds(options.timeout));
  c10::intrusive_ptr<c10d::Store> store =
      c10::make_intrusive<c10d::PrefixStore>(absl::StrCat(options.store_prefix, "/", name), root);
  auto group = c10::make_intrusive<c10d::ProcessGroup>(store, options.rank, options.world_size);

  auto gloo = c10d::ProcessGroupGloo::Options::create(timeout);
  gloo->devices.push_back(
      options.advertise_host.empty()
          ? c10d::ProcessGroupGloo::createDefaultDevice()
          : c10d::ProcessGroupGloo::createDeviceForHostname(options.advertise_host));
  // One thread: collectives of a group run one after the other anyway.
  gloo->threads = 1;
  group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::GLOO,
                    c10::make_intrusive<c10d::ProcessGroupGloo>(
                        c10::make_intrusive<c10d::PrefixStore>("gloo", store), options.rank,
                        options.world_size, gloo));
  group->setDefaultBackend(c10d::ProcessGroup::GLOO);
  if (options.device.is_cuda()) {
    c10::intrusive_ptr<c10d::Store> nccl_store =
        c10::make_intrusive<c10d::PrefixStore>("nccl", store);
    c10::intrusive_ptr<c10d::Backend> backend;
    std::string error;
    if (!CudaPlugin().make_nccl_backend(&nccl_store, options.rank, options.world_size,
                                        timeout.count(), &backend, &error)) {
      throw CollectiveError("NCCL: " + error);
    }
    group->setBackend(c10::DeviceType::CUDA, c10d::ProcessGroup::NCCL, backend);
    group->setDefaultBackend(c10d::ProcessGroup::NCCL);
  }
  return group;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> JoinC10dGroup(const C10dOptions& options) {
  if (options.device.is_cuda() && CudaPlugin().make_nccl_backend == nullptr) {
    return absl::FailedPreconditionError("device cuda: the NCCL plugin is not loaded");
  }
  try {
    c10d::TCPStoreOptions store_options;
    store_options.port = static_cast<std::uint16_t>(options.store_port);
    store_options.waitWorkers = false;
    store_options.timeout = std::chrono::milliseconds(absl::ToInt64Milliseconds(options.timeout));
    auto store = c10::make_intrusive<c10d::TCPStore>(options.store_host, store_options);
    Group control = MakeGroup(options, store, "control");
    Group gradients = MakeGroup(options, store, "gradients");
    return std::make_unique<C10dCollective>(options, std::move(control), std::move(gradients));
  } catch (const std::exception& e) {
    return absl::UnavailableError(absl::StrCat("rank ", options.rank, " of ", options.world_size,
                                               " cannot join through ", options.store_host, ":",
                                               options.store_port, ": ", FirstLine(e)));
  }
}

}  // namespace g2ll::dist
