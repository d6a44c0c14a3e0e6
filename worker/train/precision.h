#ifndef WORKER_TRAIN_PRECISION_H_
#define WORKER_TRAIN_PRECISION_H_

#include <torch/types.h>

namespace g2ll::train {

// Whether this processor multiplies bf16 in hardware (AMX-BF16 or AVX512-BF16).
// Without it bf16 is 20 to 70 times slower than fp32.
bool CpuHasBf16();

// While it lives, matrix products on `device` run in bf16 with fp32 weights
// (autocast); then as before. Does nothing if `is_enabled` is false. For the thread it
// lives on.
class Bf16Scope {
 public:
  Bf16Scope(bool is_enabled, torch::DeviceType device);
  ~Bf16Scope();
  Bf16Scope(const Bf16Scope&) = delete;
  Bf16Scope& operator=(const Bf16Scope&) = delete;

 private:
  bool is_enabled_;
  torch::DeviceType device_;
  // Autocast before this scope.
  bool was_enabled_ = false;
  torch::Dtype dtype_before_ = torch::kFloat32;
};

}  // namespace g2ll::train

#endif  // WORKER_TRAIN_PRECISION_H_
