#include "worker/checkpoint/module_state.h"

#include <torch/torch.h>

#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/common/status_macros.h"

namespace g2ll::checkpoint {
namespace {

constexpr size_t kMaxListed = 5;

std::string ShapeText(const torch::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ","), "]");
}

// `; 12 missing: a [1,2], b [3], ...` or nothing.
std::string Listed(std::string_view label, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  const size_t shown = std::min(items.size(), kMaxListed);
  return absl::StrCat(
      "; ", items.size(), " ", std::string(label), ": ",
      absl::StrJoin(items.begin(), items.begin() + static_cast<ptrdiff_t>(shown), ", "),
      shown < items.size() ? ", ..." : "");
}

absl::Status Compare(const NamedTensors& destination, const TensorMap& source,
                     std::string_view what) {
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  std::vector<std::string> misshapen;
  std::set<std::string_view> expected;
  for (const auto& [name, tensor] : destination) {
    expected.insert(name);
    const auto it = source.find(name);
    if (it == source.end()) {
      missing.push_back(absl::StrCat(name, " ", ShapeText(tensor)));
    } else if (it->second.sizes() != tensor.sizes()) {
      misshapen.push_back(
          absl::StrCat(name, " ", ShapeText(it->second), " instead of ", ShapeText(tensor)));
    }
  }
  for (const auto& [name, tensor] : source) {
    if (!expected.contains(name)) unexpected.push_back(absl::StrCat(name, " ", ShapeText(tensor)));
  }
  if (missing.empty() && unexpected.empty() && misshapen.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(std::string(what), ": does not fit the model", Listed("missing", missing),
                   Listed("unexpected", unexpected), Listed("of another shape", misshapen)));
}

}  // namespace

NamedTensors StateOf(const torch::nn::Module& module, std::string_view prefix) {
  NamedTensors state;
  for (const auto& item : module.named_parameters()) {
    state.emplace_back(absl::StrCat(std::string(prefix), item.key()), item.value().detach());
  }
  for (const auto& item : module.named_buffers()) {
    state.emplace_back(absl::StrCat(std::string(prefix), item.key()), item.value().detach());
  }
  return state;
}

absl::Status LoadState(const NamedTensors& destination, const TensorMap& source,
                       std::string_view what) {
  G2LL_RETURN_IF_ERROR(Compare(destination, source, what));
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : destination) {
    torch::Tensor target = tensor.detach();
    target.copy_(source.at(name));
  }
  return absl::OkStatus();
}

absl::Status LoadStateFile(const NamedTensors& destination, const std::filesystem::path& file) {
  G2LL_ASSIGN_OR_RETURN(const TensorMap tensors, LoadTensors(file));
  return LoadState(destination, tensors, file.string());
}

}  // namespace g2ll::checkpoint
