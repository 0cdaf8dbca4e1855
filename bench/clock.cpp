#include "bench/clock.h"

#include <algorithm>
#include <chrono>

#include "core/check.h"

#if GT_CUDA && !GT_EMULATE
#include "core/cuda.h"
#endif

namespace gt {
namespace {

#if GT_CUDA && !GT_EMULATE
struct Events {
  cudaEvent_t start = nullptr, stop = nullptr;
  Buffer spoiler;  // larger than the L2 cache

  static size_t spoiler_bytes() {
    int l2 = 0;
    check_cuda(cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, 0), "cudaDeviceGetAttribute");
    return std::max<size_t>(size_t(512) << 20, 4 * size_t(l2));
  }

  Events() : spoiler(spoiler_bytes(), Device::cuda) {
    check_cuda(cudaEventCreate(&start), "cudaEventCreate");
    check_cuda(cudaEventCreate(&stop), "cudaEventCreate");
  }
};

double seconds_on_cuda(const std::function<void()>& work) {
  static Events& events = *new Events;  // never freed: at exit the driver may be unloaded already
  check_cuda(cudaMemsetAsync(events.spoiler.data(), 0, events.spoiler.bytes(), cuda_stream()), "cudaMemsetAsync");
  check_cuda(cudaEventRecord(events.start, cuda_stream()), "cudaEventRecord");
  work();
  check_cuda(cudaEventRecord(events.stop, cuda_stream()), "cudaEventRecord");
  check_cuda(cudaEventSynchronize(events.stop), "cudaEventSynchronize");
  float milliseconds = 0;
  check_cuda(cudaEventElapsedTime(&milliseconds, events.start, events.stop), "cudaEventElapsedTime");
  return 1e-3 * double(milliseconds);
}
#else
double seconds_on_cuda(const std::function<void()>&) { fail("device 'cuda' has no clock in this build"); }
#endif

}  // namespace

double seconds_of(Device device, const std::function<void()>& work) {
  if (device == Device::cuda) return seconds_on_cuda(work);
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace gt
