#include "worker/dist/nccl_plugin.h"

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAFunctions.h>

#include <chrono>
#include <exception>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

namespace {

// LibTorch's messages carry a stack trace after their first line.
std::string FirstLine(const char* message) {
  const std::string text = message;
  return text.substr(0, text.find('\n'));
}

}  // namespace

extern "C" {

int G2llCudaDeviceCount(std::string* error) {
  try {
    return c10::cuda::device_count_ensure_non_zero();
  } catch (const std::exception& e) {
    *error = FirstLine(e.what());
    return -1;
  }
}

bool G2llCudaSetDevice(int index, std::string* error) {
  try {
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    return true;
  } catch (const std::exception& e) {
    *error = FirstLine(e.what());
    return false;
  }
}

int G2llCudaCapability() {
  try {
    const cudaDeviceProp* properties = at::cuda::getCurrentDeviceProperties();
    return properties->major * 10 + properties->minor;
  } catch (const std::exception&) {
    return 0;
  }
}

bool G2llMakeNcclBackend(const c10::intrusive_ptr<c10d::Store>* store, int rank, int world_size,
                         int64_t timeout_ms, c10::intrusive_ptr<c10d::Backend>* backend,
                         std::string* error) {
  try {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::milliseconds(timeout_ms);
    *backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(*store, rank, world_size, options);
    return true;
  } catch (const std::exception& e) {
    *error = FirstLine(e.what());
    return false;
  }
}

}  // extern "C"
