#include "core/device.h"

#include <malloc.h>
#include <omp.h>
#include <sched.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/check.h"
#include "core/parallel.h"

#if GT_CUDA
#include <cuda_runtime.h>
#endif

namespace gt {
namespace {

std::atomic<int64_t> live{0};
std::atomic<int64_t> peak{0};

constexpr size_t alignment = 64;

CudaStatus query_cuda() {
#if GT_CUDA
  int count = 0;  // untouched by a failing call
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) return {CudaState::no_device, cudaGetErrorString(status)};
  if (count == 0) return {CudaState::no_device, "the driver lists no device"};
  cudaDeviceProp properties;
  cudaGetDeviceProperties(&properties, 0);
  return {CudaState::device, properties.name};
#else
  return {CudaState::not_built, "built without CUDA (GRADTRACK_CUDA=OFF)"};
#endif
}

// A training step frees and asks for the same large blocks over and over: keep them in the process instead of handing
// them back to the kernel, which would zero every page anew.
void* allocate_host(size_t bytes) {
  static const bool tuned = (mallopt(M_MMAP_THRESHOLD, 1 << 30), mallopt(M_TRIM_THRESHOLD, -1), true);
  (void)tuned;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* data = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (data == nullptr) fail("out of memory: ", bytes, " bytes for one tensor");
#ifndef NDEBUG
  std::memset(data, 0xFF, rounded);
#endif
  return data;
}

}  // namespace

const char* name(Device device) { return device == Device::cpu ? "cpu" : "cuda"; }

const CudaStatus& cuda_status() {
  static const CudaStatus status = query_cuda();
  return status;
}

Device choose_device(const std::string& word, std::string* why) {
  if (word == "cpu") return Device::cpu;
  if (word != "auto" && word != "cuda") fail("device '", word, "': expected auto, cpu or cuda");
  if (cuda_status().state == CudaState::device) return Device::cuda;
  if (word == "cuda") fail("device 'cuda' is not there: ", cuda_status().reason);
  if (why != nullptr) *why = cuda_status().reason;
  return Device::cpu;
}

void require_device(Device device) {
  if (device == Device::cuda && cuda_status().state != CudaState::device)
    fail("device 'cuda' is not there: ", cuda_status().reason);
}

Buffer::Buffer(size_t bytes, Device device) : bytes_(bytes), device_(device) {
  require_device(device);
  data_ = allocate_host(bytes);
  const int64_t now = live += int64_t(bytes);
  int64_t seen = peak;
  while (seen < now && !peak.compare_exchange_weak(seen, now)) {
  }
}

Buffer::~Buffer() {
  std::free(data_);
  live -= int64_t(bytes_);
}

int64_t live_bytes() { return live; }
int64_t peak_bytes() { return peak; }
void reset_peak_bytes() { peak = live.load(); }

int num_threads() { return omp_get_max_threads(); }

void set_num_threads(int count) {
  if (count < 0) fail("threads: expected 0 (all) or more, got ", count);
  omp_set_num_threads(count == 0 ? omp_get_num_procs() : count);
}

}  // namespace gt
