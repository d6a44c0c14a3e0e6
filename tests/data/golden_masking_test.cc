#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "worker/checkpoint/safetensors.h"
#include "worker/mask/allocator.h"
#include "worker/mask/mask_strategy.h"

// Expected values of an independent implementation: 37 label maps with sizes,
// distances, orders, quotas and masks, 40 allocator calls.
namespace g2ll::mask {
namespace {

constexpr int kPatches = 256;

// The tensors of a golden file, element by element as double.
class Golden {
 public:
  static std::string Path() {
    return std::string(G2LL_SOURCE_DIR) + "/tests/golden/cases/masking.safetensors";
  }

  explicit Golden(const std::string& path) {
    const auto header = checkpoint::ReadSafetensorsHeader(path);
    EXPECT_TRUE(header.ok()) << header.status();
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    for (const auto& tensor : header->tensors) {
      offsets_[tensor.name] = {tensor, header->data_offset + tensor.begin};
    }
  }

  double At(const std::string& name, size_t row, size_t column) const {
    const auto& [tensor, offset] = offsets_.at(name);
    const size_t columns = tensor.shape.size() > 1 ? static_cast<size_t>(tensor.shape[1]) : 1;
    const size_t size = checkpoint::ElementSize(tensor.type);
    const char* element = bytes_.data() + offset + (row * columns + column) * size;
    switch (tensor.type) {
      case checkpoint::ElementType::kU8:
        return static_cast<uint8_t>(*element);
      case checkpoint::ElementType::kI16: {
        int16_t value = 0;
        std::memcpy(&value, element, sizeof(value));
        return value;
      }
      default: {
        double value = 0;
        std::memcpy(&value, element, sizeof(value));
        return value;
      }
    }
  }

  int Int(const std::string& name, size_t row, size_t column) const {
    return static_cast<int>(At(name, row, column));
  }

  size_t Rows(const std::string& name) const {
    return static_cast<size_t>(offsets_.at(name).first.shape[0]);
  }

 private:
  std::string bytes_;
  std::map<std::string, std::pair<checkpoint::TensorEntry, uint64_t>> offsets_;
};

RegionMap MapOf(const Golden& golden, size_t row) {
  PatchLabels labels;
  labels.grid = {16, 16};
  for (size_t i = 0; i < kPatches; ++i) labels.labels.push_back(golden.Int("labels", row, i));
  return MakeRegionMap(std::move(labels));
}

class GoldenMaskingTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(std::filesystem::exists(Golden::Path())) << Golden::Path();
    golden_ = std::make_unique<Golden>(Golden::Path());
  }

  void ExpectRun(const std::string& run, const MaskOptions& options) const {
    const auto strategy = *MakeMaskStrategy(options, kPatches);
    for (size_t row = 0; row < golden_->Rows("labels"); ++row) {
      const RegionMap regions = MapOf(*golden_, row);
      const MaskPlan plan = strategy->Plan(regions);
      if (options.kind != MaskKind::kRandom) ExpectPlan(run, row, plan);
      std::vector<double> noise(kPatches);
      for (size_t i = 0; i < kPatches; ++i) noise[i] = golden_->At("noise", row, i);
      const PatchMask mask = strategy->Draw(regions, noise);
      for (size_t i = 0; i < kPatches; ++i) {
        ASSERT_EQ(mask.masked[i], golden_->Int(run + ".mask", row, i) == 1)
            << run << ", map " << row << ", patch " << i;
      }
    }
  }

  void ExpectPlan(const std::string& run, size_t row, const MaskPlan& plan) const {
    const bool is_focal = run.starts_with("focal");
    for (size_t i = 0; i < kPatches; ++i) {
      const int quota = i < plan.quotas.size() ? plan.quotas[i] : -1;
      ASSERT_EQ(quota, golden_->Int(run + ".quota", row, i)) << run << ", map " << row << ", " << i;
      if (!is_focal) continue;
      const int central = i < plan.central.size() ? plan.central[i] : -1;
      ASSERT_EQ(central, golden_->Int(run + ".central", row, i))
          << run << ", map " << row << ", " << i;
    }
  }

  std::unique_ptr<Golden> golden_;
};

TEST_F(GoldenMaskingTest, SizesDistancesAndOrderOfEveryMap) {
  for (size_t row = 0; row < golden_->Rows("labels"); ++row) {
    const RegionMap regions = MapOf(*golden_, row);
    const std::vector<int> sizes = RegionSizes(regions.patches);
    const std::vector<int> order = CentralityOrder(regions);
    for (size_t i = 0; i < kPatches; ++i) {
      if (i < sizes.size()) {
        ASSERT_EQ(sizes[i], golden_->Int("sizes", row, i));
        ASSERT_NEAR(regions.traits[i].center_distance, golden_->At("distance", row, i), 1e-9);
      }
      ASSERT_EQ(i < order.size() ? order[i] : -1, golden_->Int("order", row, i)) << row;
    }
  }
}

TEST_F(GoldenMaskingTest, EveryAllocatorCall) {
  for (size_t row = 0; row < golden_->Rows("allocate.total"); ++row) {
    std::vector<int> caps;
    for (size_t i = 0; i < 12 && golden_->Int("allocate.caps", row, i) >= 0; ++i) {
      caps.push_back(golden_->Int("allocate.caps", row, i));
    }
    const Allocation allocation = Allocate(golden_->Int("allocate.total", row, 0), caps);
    for (size_t i = 0; i < caps.size(); ++i) {
      EXPECT_EQ(allocation.quotas[i], golden_->Int("allocate.quota", row, i)) << row;
    }
    EXPECT_EQ(allocation.remainder, golden_->Int("allocate.rest", row, 0)) << row;
  }
}

TEST_F(GoldenMaskingTest, KeptCounts) {
  constexpr double kRatios[] = {.25, .4, .5, .6, .75, .9};
  for (size_t row = 0; row < golden_->Rows("len_keep"); ++row) {
    const int n = golden_->Int("len_keep", row, 0);
    EXPECT_EQ(n - NumMasked(n, kRatios[row % 6]), golden_->Int("len_keep", row, 1)) << row;
  }
}

TEST_F(GoldenMaskingTest, MasksOfEveryStrategyAndSetting) {
  MaskOptions options;
  options.kind = MaskKind::kRandom;
  ExpectRun("random25", options);
  options.kind = MaskKind::kSemantic;
  ExpectRun("semantic25", options);
  options.gamma = 0.75;
  ExpectRun("semantic75", options);
  options = {};
  ExpectRun("focal25", options);
  options.gamma = 0.5;
  options.beta = 0.6;
  ExpectRun("focal50", options);
  options.gamma = 0.75;
  options.beta = 0.7;
  ExpectRun("focal75", options);
  options = {};
  options.rho = 1.0;
  ExpectRun("focal25_rho1", options);
  options = {};
  options.rounding = FocalRounding::kFloor;
  ExpectRun("focal25_floor", options);
}

}  // namespace
}  // namespace g2ll::mask
