#include "worker/dist/cuda_backend.h"

#include <dlfcn.h>

#include <string>

#include "worker/dist/cuda_plugin_api.h"

namespace g2ll::dist {
namespace {

constexpr char kPlugin[] = "libg2ll_nccl.so";

CudaPluginApi& Api() {
  static CudaPluginApi api;
  return api;
}

template <typename Function>
bool Resolve(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  return function != nullptr;
}

std::string LastDynamicLinkError() {
  const char* error = dlerror();
  return error == nullptr ? "no reason given" : error;
}

}  // namespace

const CudaPluginApi& CudaPlugin() { return Api(); }

absl::Status LoadCudaBackend(int device_index) {
  CudaPluginApi& api = Api();
  if (api.make_nccl_backend == nullptr) {
    void* library = dlopen(kPlugin, RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) {
      return absl::FailedPreconditionError(
          "device cuda: " + LastDynamicLinkError() +
          "; install the CUDA wheels with deploy/install_deps.sh --cuda or ask for device cpu");
    }
    if (!Resolve(library, "G2llCudaDeviceCount", api.device_count) ||
        !Resolve(library, "G2llCudaSetDevice", api.set_device) ||
        !Resolve(library, "G2llCudaCapability", api.capability) ||
        !Resolve(library, "G2llMakeNcclBackend", api.make_nccl_backend)) {
      return absl::FailedPreconditionError("device cuda: " + LastDynamicLinkError() +
                                           "; the plugin belongs to another build");
    }
  }
  std::string error;
  const int count = api.device_count(&error);
  if (count < 0) {
    return absl::FailedPreconditionError("device cuda: " + error +
                                         "; check the NVIDIA driver or ask for device cpu");
  }
  if (device_index >= count) {
    return absl::FailedPreconditionError("device cuda: this rank wants GPU " +
                                         std::to_string(device_index) + " but the host has " +
                                         std::to_string(count));
  }
  if (!api.set_device(device_index, &error)) {
    return absl::FailedPreconditionError("device cuda: GPU " + std::to_string(device_index) + ": " +
                                         error);
  }
  return absl::OkStatus();
}

bool CudaHasBf16() { return Api().capability != nullptr && Api().capability() >= 80; }

}  // namespace g2ll::dist
