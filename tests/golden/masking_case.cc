// masking: allocator, distances, central prefixes, quotas, masks and majority votes.
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "tests/golden/cases.h"
#include "tests/golden/formula.h"
#include "tests/golden/models.h"
#include "worker/mask/allocator.h"
#include "worker/mask/patch_labels.h"

namespace g2ll::golden {
namespace {

constexpr int kGrid = 16;
constexpr int kPatches = kGrid * kGrid;
constexpr int kPatch = 16;
constexpr int kSide = kGrid * kPatch;

// [width] float64: the values, then padding.
template <typename Values>
torch::Tensor Padded(const Values& values, int64_t width, double padding) {
  torch::Tensor row = torch::full({width}, padding, torch::kFloat64);
  for (size_t i = 0; i < values.size(); ++i) {
    row[static_cast<int64_t>(i)] = static_cast<double>(values[i]);
  }
  return row;
}

std::vector<int> ToInts(const torch::Tensor& row) {
  const torch::Tensor values = row.to(torch::kInt32).contiguous();
  return {values.data_ptr<int>(), values.data_ptr<int>() + values.numel()};
}

// Without the trailing padding of -1.
std::vector<int> WithoutPadding(const torch::Tensor& row) {
  std::vector<int> values = ToInts(row);
  values.erase(std::find(values.begin(), values.end(), -1), values.end());
  return values;
}

std::vector<mask::RegionMap> Maps(GoldenCase& golden) {
  const torch::Tensor labels = golden.Input("labels");
  std::vector<mask::RegionMap> maps;
  for (int64_t i = 0; i < labels.size(0); ++i) {
    maps.push_back(mask::MakeRegionMap({{kGrid, kGrid}, ToInts(labels[i])}));
  }
  return maps;
}

void CheckMaps(GoldenCase& golden, const std::vector<mask::RegionMap>& maps) {
  std::vector<torch::Tensor> noise, sizes, distances, orders;
  for (size_t i = 0; i < maps.size(); ++i) {
    noise.push_back(Uniform(golden.Key("mask/noise/" + std::to_string(i)), {kPatches}));
    sizes.push_back(Padded(mask::RegionSizes(maps[i].patches), kPatches, -1));
    distances.push_back(Padded(mask::MeanCenterDistances(maps[i].patches), kPatches, -1));
    orders.push_back(Padded(mask::CentralityOrder(maps[i]), kPatches, -1));
  }
  golden.Check("noise", torch::stack(noise));
  golden.Check("sizes", torch::stack(sizes));
  golden.Check("distance", torch::stack(distances));
  golden.Check("order", torch::stack(orders));
}

mask::MaskOptions OptionsOf(const nlohmann::json& config, const nlohmann::json& run) {
  mask::MaskOptions options;
  const std::string strategy = run.at("strategy");
  options.kind = strategy == "random"     ? mask::MaskKind::kRandom
                 : strategy == "semantic" ? mask::MaskKind::kSemantic
                                          : mask::MaskKind::kSemanticFocal;
  options.gamma = run.value("gamma", 0.25);
  options.beta = run.value("beta", config.at("beta").get<double>());
  options.rho = run.value("rho", config.at("rho").get<double>());
  if (run.value("rounding", "nearest") == "floor") options.rounding = mask::FocalRounding::kFloor;
  return options;
}

void CheckRun(GoldenCase& golden, const std::string& name, const mask::MaskOptions& options,
              const std::vector<mask::RegionMap>& maps) {
  const auto strategy = mask::MakeMaskStrategy(options, kPatches);
  if (!strategy.ok()) throw std::runtime_error(std::string(strategy.status().message()));
  const torch::Tensor noise = golden.Input("noise").contiguous();
  std::vector<torch::Tensor> masks, quotas, central;
  for (size_t i = 0; i < maps.size(); ++i) {
    const double* row = noise.data_ptr<double>() + i * kPatches;
    const mask::PatchMask drawn =
        (*strategy)->Draw(maps[i], std::span<const double>(row, kPatches));
    const mask::MaskPlan plan = (*strategy)->Plan(maps[i]);
    masks.push_back(Padded(drawn.masked, kPatches, 0));
    quotas.push_back(Padded(plan.quotas, kPatches, -1));
    central.push_back(Padded(plan.central, kPatches, -1));
  }
  golden.Check(name + ".mask", torch::stack(masks));
  if (options.kind == mask::MaskKind::kRandom) return;
  golden.Check(name + ".quota", torch::stack(quotas));
  if (options.kind != mask::MaskKind::kSemanticFocal) return;
  golden.Check(name + ".central", torch::stack(central));
}

void CheckAllocator(GoldenCase& golden) {
  const torch::Tensor totals = golden.Input("allocate.total");
  const torch::Tensor caps = golden.Input("allocate.caps");
  std::vector<torch::Tensor> quotas;
  std::vector<double> rests;
  for (int64_t i = 0; i < totals.size(0); ++i) {
    const mask::Allocation allocation =
        mask::Allocate(totals[i].item<int>(), WithoutPadding(caps[i]));
    quotas.push_back(Padded(allocation.quotas, caps.size(1), -1));
    rests.push_back(allocation.remainder);
  }
  golden.Check("allocate.quota", torch::stack(quotas));
  golden.Check("allocate.rest", torch::tensor(rests, torch::kFloat64));
}

void CheckCounts(GoldenCase& golden) {
  std::vector<torch::Tensor> rows;
  for (int patches : {256, 196, 36, 400}) {
    for (double ratio : {.25, .4, .5, .6, .75, .9}) {
      const std::array<int, 2> row = {patches, patches - mask::NumMasked(patches, ratio)};
      rows.push_back(Padded(row, 2, 0));
    }
  }
  golden.Check("len_keep", torch::stack(rows));
  // The order of a random mask: the patches that stay come first.
  const torch::Tensor order = golden.Input("noise").slice(0, 0, 4).argsort(int64_t{1});
  golden.Check("mae.ids_shuffle", order);
  golden.Check("mae.ids_restore", order.argsort(int64_t{1}));
}

torch::Tensor Majority(const std::vector<uint16_t>& pixels) {
  const auto labels = mask::MajorityLabels(pixels, kSide, kSide, kPatch);
  if (!labels.ok()) throw std::runtime_error(std::string(labels.status().message()));
  return Padded(labels->labels, kPatches, -1);
}

// Pixel labels of the nearest seed, ties to the lower id; rows come before columns.
std::vector<uint16_t> Voronoi(const std::vector<int>& seeds) {
  const size_t count = seeds.size() / 2;
  std::vector<uint16_t> pixels;
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      size_t nearest = 0;
      int least = -1;
      for (size_t i = 0; i < count; ++i) {
        const int dy = y - seeds[i];
        const int dx = x - seeds[count + i];
        const int distance = dy * dy + dx * dx;
        if (least < 0 || distance < least) {
          least = distance;
          nearest = i;
        }
      }
      pixels.push_back(static_cast<uint16_t>(nearest));
    }
  }
  return pixels;
}

void CheckMajority(GoldenCase& golden) {
  const torch::Tensor seeds = golden.Input("majority.seeds");
  std::vector<torch::Tensor> maps;
  for (int64_t i = 0; i < seeds.size(0); ++i) {
    maps.push_back(Majority(Voronoi(WithoutPadding(seeds[i]))));
  }
  golden.Check("majority.voronoi", torch::stack(maps));
  std::vector<torch::Tensor> noise;
  for (int labels : {2, 5}) {
    const torch::Tensor values =
        (Uniform(golden.Key("majority/noise/" + std::to_string(labels)), {kSide * kSide}) * labels)
            .floor();
    std::vector<uint16_t> pixels;
    for (int label : ToInts(values)) pixels.push_back(static_cast<uint16_t>(label));
    noise.push_back(Majority(pixels));
  }
  golden.Check("majority.noise", torch::stack(noise));
}

}  // namespace

void CheckMasking(GoldenCase& golden) {
  const std::vector<mask::RegionMap> maps = Maps(golden);
  CheckMaps(golden, maps);
  for (const auto& [name, run] : golden.config().at("runs").items()) {
    CheckRun(golden, name, OptionsOf(golden.config(), run), maps);
  }
  CheckAllocator(golden);
  CheckCounts(golden);
  CheckMajority(golden);
}

}  // namespace g2ll::golden
