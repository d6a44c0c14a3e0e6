#ifndef WORKER_DIST_CUDA_PLUGIN_API_H_
#define WORKER_DIST_CUDA_PLUGIN_API_H_

#include "worker/dist/nccl_plugin.h"

namespace g2ll::dist {

// The plugin's functions; null until LoadCudaBackend has succeeded. Private to
// this folder.
struct CudaPluginApi {
  decltype(G2llCudaDeviceCount)* device_count = nullptr;
  decltype(G2llCudaSetDevice)* set_device = nullptr;
  decltype(G2llCudaCapability)* capability = nullptr;
  decltype(G2llMakeNcclBackend)* make_nccl_backend = nullptr;
};

const CudaPluginApi& CudaPlugin();

}  // namespace g2ll::dist

#endif  // WORKER_DIST_CUDA_PLUGIN_API_H_
