#include "worker/train/precision.h"

#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace g2ll::train {

bool CpuHasBf16() {
#if defined(__x86_64__)
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned int kAmxBf16 = 1u << 22;    // leaf 7.0, edx
  constexpr unsigned int kAvx512Bf16 = 1u << 5;  // leaf 7.1, eax
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kAmxBf16) != 0) return true;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kAvx512Bf16) != 0;
#else
  return false;
#endif
}

Bf16Scope::Bf16Scope(bool is_enabled, torch::DeviceType device)
    : is_enabled_(is_enabled), device_(device) {
  if (!is_enabled_) return;
  was_enabled_ = at::autocast::is_autocast_enabled(device_);
  dtype_before_ = at::autocast::get_autocast_dtype(device_);
  at::autocast::set_autocast_dtype(device_, torch::kBFloat16);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::increment_nesting();
}

Bf16Scope::~Bf16Scope() {
  if (!is_enabled_) return;
  // The outermost scope forgets the bf16 copies of the weights, which the next
  // update makes stale.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, was_enabled_);
  at::autocast::set_autocast_dtype(device_, dtype_before_);
}

}  // namespace g2ll::train
