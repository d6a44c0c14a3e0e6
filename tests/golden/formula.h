#ifndef TESTS_GOLDEN_FORMULA_H_
#define TESTS_GOLDEN_FORMULA_H_

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace g2ll::golden {

// Values that both sides of a comparison compute from a name (README.md of the
// golden data): no weights have to be stored.

// Where networks and their inputs live; the CPU unless it was set. Set once, before
// the first case.
void UseDevice(torch::Device device);
torch::Device Device();

uint64_t Fnv1a64(std::string_view bytes);
uint64_t SplitMix64(uint64_t state);

// u(i) in [0, 1) of a key, float64 of this shape, row-major, on the CPU.
torch::Tensor Uniform(const std::string& key, const std::vector<int64_t>& shape);

// float32(base + scale * (2 u(i) - 1)), on Device().
torch::Tensor Fill(const std::string& key, const std::vector<int64_t>& shape, double scale,
                   double base = 0);

// The value of a parameter called `name`, whose key is `salt` + `name`.
torch::Tensor FillParameter(const std::string& salt, const std::string& name,
                            const std::vector<int64_t>& shape);

// Overwrites all parameters of a module, whose names come after `prefix`, and moves
// it to Device().
void FillModule(torch::nn::Module& module, const std::string& salt, const std::string& prefix = "");

// [batch,3,256,256] float32 on Device(): fine noise on a coarse 8x8 pattern.
torch::Tensor Images(const std::string& key, int64_t batch);

}  // namespace g2ll::golden

#endif  // TESTS_GOLDEN_FORMULA_H_
