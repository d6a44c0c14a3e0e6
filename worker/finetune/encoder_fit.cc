#include "worker/finetune/encoder_fit.h"

#include <torch/torch.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/common/status_macros.h"
#include "worker/checkpoint/module_state.h"
#include "worker/model/position_interpolation.h"
#include "worker/model/position_table.h"

namespace g2ll::finetune {
namespace {

constexpr char kPositions[] = "pos_embed";
constexpr size_t kMaxListed = 3;
constexpr double kTableTolerance = 5e-3;

std::string ShapeText(const torch::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ","), "]");
}

// Side of the grid of a position table; none where it is no such table.
std::optional<int> GridOfTable(const torch::Tensor& table) {
  if (table.dim() != 3 || table.size(0) != 1 || table.size(1) < 2) return std::nullopt;
  const int64_t patches = table.size(1) - 1;
  const auto grid = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(patches))));
  if (grid * grid != patches) return std::nullopt;
  return static_cast<int>(grid);
}

// Blocks of a saved encoder: one more than the largest N of `blocks.N.*`.
int64_t DepthOf(const checkpoint::TensorMap& tensors) {
  constexpr std::string_view kBlocks = "blocks.";
  int64_t depth = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with(kBlocks)) continue;
    int64_t block = 0;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + kBlocks.size(), end, block);
    if (parsed.ec == std::errc()) depth = std::max(depth, block + 1);
  }
  return depth;
}

// `set model.dim 128 and model.depth 4`: what would make the two fit; empty where
// nothing is known.
std::string Advice(const checkpoint::TensorMap& tensors, const model::VitOptions& options) {
  std::vector<std::string> keys;
  const auto compare = [&keys](const char* key, int64_t given, int64_t expected) {
    if (given != expected) keys.push_back(absl::StrCat(key, " ", given));
  };
  const auto patches = tensors.find("patch_embed.proj.weight");
  if (patches != tensors.end() && patches->second.dim() == 4) {
    compare("model.dim", patches->second.size(0), options.dim);
    compare("model.patch", patches->second.size(3), options.patch);
  }
  const int64_t depth = DepthOf(tensors);
  if (depth > 0) compare("model.depth", depth, options.depth);
  if (keys.empty()) return "";
  return absl::StrCat("; set ", absl::StrJoin(keys, " and "), ", or use another init.from");
}

absl::Status CheckShapes(const checkpoint::NamedTensors& expected,
                         const checkpoint::TensorMap& given, const model::VitOptions& options,
                         const std::string& what) {
  std::vector<std::string> faults;
  size_t num_found = 0;
  for (const auto& [name, tensor] : expected) {
    const auto found = given.find(name);
    num_found += found == given.end() ? 0 : 1;
    if (found == given.end()) {
      faults.push_back(absl::StrCat(name, " ", ShapeText(tensor), " is missing"));
    } else if (found->second.sizes() != tensor.sizes()) {
      faults.push_back(
          absl::StrCat(name, " is ", ShapeText(found->second), ", expected ", ShapeText(tensor)));
    }
  }
  if (num_found < given.size()) {
    checkpoint::TensorMap rest = given;
    for (const auto& [name, tensor] : expected) rest.erase(name);
    for (const auto& [name, tensor] : rest) {
      faults.push_back(absl::StrCat(name, " ", ShapeText(tensor), " is not expected"));
    }
  }
  if (faults.empty()) return absl::OkStatus();
  const size_t shown = std::min(faults.size(), kMaxListed);
  const std::string listed =
      absl::StrJoin(faults.begin(), faults.begin() + static_cast<ptrdiff_t>(shown), "; ");
  const std::string more =
      shown < faults.size() ? absl::StrCat("; and ", faults.size() - shown, " more tensors") : "";
  return absl::FailedPreconditionError(absl::StrCat(
      what, ": does not fit the encoder of model.*: ", listed, more, Advice(given, options)));
}

// Puts the table for the encoder's own grid in place of the saved one.
absl::Status FitPositions(checkpoint::TensorMap& tensors, const model::VitOptions& options,
                          const std::string& what) {
  const auto found = tensors.find(kPositions);
  if (found == tensors.end()) return absl::OkStatus();  // missing: CheckShapes says so
  const std::optional<int> grid = GridOfTable(found->second);
  // A table of another width is another encoder: CheckShapes says so.
  if (!grid || found->second.size(2) != options.dim) return absl::OkStatus();
  const bool is_fixed = HasFixedPositions(found->second);
  if (is_fixed == options.learned_pos) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, ": pos_embed is ",
                     is_fixed ? "the fixed table of sines and cosines" : "a trained table",
                     ", which this job does not expect; set model.positions ",
                     is_fixed ? "sincos2d" : "learned", " or repair the encoder's config.json"));
  }
  if (is_fixed) {
    found->second = model::SinCosPositions(GridOf(options), options.dim);
  } else if (*grid != GridOf(options)) {
    found->second = model::InterpolatePositions(found->second, GridOf(options),
                                                model::PositionSampling::kGuardedFactor);
  }
  return absl::OkStatus();
}

}  // namespace

bool HasFixedPositions(const torch::Tensor& table) {
  const std::optional<int> grid = GridOfTable(table);
  if (!grid || table.size(2) % 4 != 0) return false;
  const torch::Tensor fixed = model::SinCosPositions(*grid, table.size(2));
  return torch::allclose(table.to(torch::kCPU, torch::kFloat32), fixed, /*rtol=*/0,
                         kTableTolerance);
}

absl::StatusOr<checkpoint::TensorMap> FitEncoder(checkpoint::TensorMap tensors,
                                                 model::VitEncoder encoder,
                                                 const std::string& what) {
  std::erase_if(tensors, [](const auto& entry) { return entry.first.starts_with("seg."); });
  G2LL_RETURN_IF_ERROR(FitPositions(tensors, encoder->options(), what));
  G2LL_RETURN_IF_ERROR(
      CheckShapes(checkpoint::StateOf(*encoder), tensors, encoder->options(), what));
  return tensors;
}

}  // namespace g2ll::finetune
