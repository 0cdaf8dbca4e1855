#include "core/cuda.h"

#if GT_CUDA && !GT_EMULATE

#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/check.h"
#include "core/high_water_marks.h"
#include "core/kernel_info.h"
#include "core/launch.cuh"

namespace gt {
namespace {

/// GT_SYNC=1 makes launch() wait for every kernel, so that an error is reported where the kernel was launched.
bool synchronous_launches() {
  const char* value = std::getenv("GT_SYNC");
  return value != nullptr && std::string(value) == "1";
}

int current_device() {
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  return device;
}

/// The pool of cudaMallocAsync().
cudaMemPool_t memory_pool() {
  cudaMemPool_t pool = nullptr;
  check_cuda(cudaDeviceGetDefaultMemPool(&pool, current_device()), "cudaDeviceGetDefaultMemPool");
  return pool;
}

/// Keeps freed memory in the pool. By default every synchronisation returns it to the driver, and allocating it again
/// costs far more than most kernels.
void keep_freed_memory() {
  uint64_t bytes = UINT64_MAX;
  check_cuda(cudaMemPoolSetAttribute(memory_pool(), cudaMemPoolAttrReleaseThreshold, &bytes),
             "cudaMemPoolSetAttribute");
}

/// Raises the kernel's limit of dynamic shared memory to `bytes`, unless it is higher: a recorded graph may hold a
/// launch that needs more. The default is 48 KiB less its static shared memory.
cudaError_t allow_shared(const void* kernel, size_t bytes) {
  static HighWaterMarks<const void*> limits;
  return limits.raise(kernel, bytes, cudaSuccess, [&] {
    return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
  });
}

/// Whether processes share the device by MPS. Their blocks then take places from one another.
bool shares_device() {
  static const bool shares = device_attribute(cudaDevAttrMpsEnabled) != 0;
  return shares;
}

void check_launch(cudaError_t status, const Launch& launch, const void* kernel) {
  if (status == cudaSuccess) return;
  const std::string place = str_cat("launch of ", kernel_name(kernel), " at ", launch.file, ":", launch.line);
  check_cuda(status, place.c_str());
}

}  // namespace

void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // clears the error, which the next launch would report again
  fail(what, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}

void use_cuda_device(int place) {
  int count = 0;
  check_cuda(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  check_cuda(cudaSetDevice(place % count), "cudaSetDevice");
}

int device_attribute(cudaDeviceAttr attribute) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, attribute, current_device()), "cudaDeviceGetAttribute");
  return value;
}

cudaStream_t cuda_stream() {
  static const cudaStream_t stream = [] {
    cudaStream_t made = nullptr;
    check_cuda(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    keep_freed_memory();
    return made;  // never destroyed: at exit the driver may shut down first
  }();
  return stream;
}

void trim_memory_pool() {
  check_cuda(cudaStreamSynchronize(cuda_stream()), "cudaStreamSynchronize");
  check_cuda(cudaMemPoolTrimTo(memory_pool(), 0), "cudaMemPoolTrimTo");
}

int blocks_of_multiprocessor(const void* kernel, int threads, size_t shared_bytes) {
  int blocks = 0;
  if (allow_shared(kernel, shared_bytes) != cudaSuccess) {  // more than a block may have
    cudaGetLastError();                                     // clears the error
    return 0;
  }
  check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, shared_bytes),
             "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return blocks;
}

int64_t blocks_on_device(const void* kernel, int threads, size_t shared_bytes) {
  if (shares_device()) return 0;
  static const int multiprocessors = device_attribute(cudaDevAttrMultiProcessorCount);
  check_cuda(
      cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared),
      "cudaFuncSetAttribute");
  return int64_t(multiprocessors) * blocks_of_multiprocessor(kernel, threads, shared_bytes);
}

void launch_on_stream(const Launch& launch, const void* kernel, void** arguments) {
  static const bool synchronous = synchronous_launches();
  check_launch(allow_shared(kernel, launch.shared_bytes), launch, kernel);
  check_launch(cudaLaunchKernel(kernel, launch.grid, launch.block, arguments, launch.shared_bytes, cuda_stream()),
               launch, kernel);
  if (synchronous) check_launch(cudaStreamSynchronize(cuda_stream()), launch, kernel);
}

}  // namespace gt

#endif
