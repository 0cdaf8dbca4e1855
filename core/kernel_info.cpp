#include "core/kernel_info.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

#include "core/check.h"

#if GT_EMULATE
#include "core/emulation/program_file.h"
#elif GT_CUDA
#include "core/cuda.h"
#endif

namespace gt {

std::string demangle(const std::string& name) {
  const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, nullptr),
                                                        std::free);
  return readable != nullptr ? readable.get() : name;
}

std::string kernel_name(const void* kernel) {
#if GT_EMULATE
  const std::string name = emulation::symbol_of(kernel);
#elif GT_CUDA
  const char* found = nullptr;
  const std::string name = cudaFuncGetName(&found, kernel) == cudaSuccess ? found : "";
#else
  (void)kernel;
  fail("kernel_name: built without CUDA");
  const std::string name;
#endif
  return name.empty() ? "a kernel" : demangle(name);
}

#if GT_CUDA && !GT_EMULATE

KernelOnDevice kernel_on_device(const KernelLaunch& launch) {
  cudaFuncAttributes attributes{};
  check_cuda(cudaFuncGetAttributes(&attributes, launch.kernel), "cudaFuncGetAttributes");
  const KernelResources resources{attributes.numRegs, int64_t(attributes.sharedSizeBytes)};
  return {resources, blocks_of_multiprocessor(launch.kernel, launch.threads, launch.shared_bytes)};
}

MultiprocessorLimits device_limits() {
  return {.warps = device_attribute(cudaDevAttrMaxThreadsPerMultiProcessor) / 32,
          .blocks = device_attribute(cudaDevAttrMaxBlocksPerMultiprocessor),
          .registers = device_attribute(cudaDevAttrMaxRegistersPerMultiprocessor),
          .shared_bytes = device_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor),
          .shared_bytes_of_block = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin)};
}

#else

KernelOnDevice kernel_on_device(const KernelLaunch&) { fail("kernel_on_device: no CUDA device, or an emulated one"); }

MultiprocessorLimits device_limits() { fail("device_limits: no CUDA device, or an emulated one"); }

#endif

}  // namespace gt
