#ifndef WORKER_DIST_CUDA_BACKEND_H_
#define WORKER_DIST_CUDA_BACKEND_H_

#include "absl/status/status.h"

namespace g2ll::dist {

// Loads libg2ll_nccl.so and with it LibTorch's CUDA part, and makes
// `device_index` the current GPU. Call it before the first tensor; without it a
// process knows no GPU. Errors: FailedPrecondition with one line that says what
// is missing (plugin, CUDA libraries, driver, GPU).
absl::Status LoadCudaBackend(int device_index);

// Whether the current GPU multiplies bf16 in hardware (sm_80 and later). Only
// after LoadCudaBackend.
bool CudaHasBf16();

}  // namespace g2ll::dist

#endif  // WORKER_DIST_CUDA_BACKEND_H_
