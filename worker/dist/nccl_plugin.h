#ifndef WORKER_DIST_NCCL_PLUGIN_H_
#define WORKER_DIST_NCCL_PLUGIN_H_

#include <cstdint>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

// What libg2ll_nccl.so exports. It is a plugin so that a program without CUDA
// starts where there is none; both sides are built against one LibTorch, so
// C++ types may pass between them.
extern "C" {

// Number of GPUs; -1 with `error` set if the driver cannot say.
int G2llCudaDeviceCount(std::string* error);

// Makes the GPU current. False with `error` set if it cannot be used.
bool G2llCudaSetDevice(int index, std::string* error);

// Compute capability of the current GPU, for example 90; 0 if it cannot be told.
int G2llCudaCapability();

// Makes the NCCL backend of a group on the current GPU. False with `error` set.
bool G2llMakeNcclBackend(const c10::intrusive_ptr<c10d::Store>* store, int rank, int world_size,
                         int64_t timeout_ms, c10::intrusive_ptr<c10d::Backend>* backend,
                         std::string* error);

}  // extern "C"

#endif  // WORKER_DIST_NCCL_PLUGIN_H_
