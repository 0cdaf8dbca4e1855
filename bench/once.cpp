#include "bench/once.h"

#include <cstdio>

#include "bench/clock.h"
#include "core/range.h"

#if GT_CUDA && !GT_EMULATE
#include <cuda_profiler_api.h>

#include "core/cuda.h"
#endif

namespace gt {
namespace {

/// What profilers record, if they are told to wait for it. Nothing happens in a build without CUDA.
class ProfilerCapture {
 public:
  ProfilerCapture() {
#if GT_CUDA && !GT_EMULATE
    check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    check_cuda(cudaProfilerStart(), "cudaProfilerStart");
#endif
  }
  ~ProfilerCapture() {
#if GT_CUDA && !GT_EMULATE
    cudaDeviceSynchronize();
    cudaProfilerStop();
#endif
  }
  ProfilerCapture(const ProfilerCapture&) = delete;
  ProfilerCapture& operator=(const ProfilerCapture&) = delete;
};

}  // namespace

void call_once(const std::string& name, Device device, const std::function<void()>& work, bool range) {
  constexpr int warm_up = 3;  // the first calls make plans and allocate memory
  for (int i = 0; i < warm_up; ++i) seconds_of(device, work);
  double seconds = 0;
  if (range) {
    const ProfilerCapture capture;
    const NamedRange named(name.c_str());
    work();
  } else {
    seconds = seconds_of(device, work);
  }
  if (range)
    std::printf("%s: called once in a range, after %d calls to warm up\n", name.c_str(), warm_up);
  else
    std::printf("%s: %.4g ms, after %d calls to warm up\n", name.c_str(), 1e3 * seconds, warm_up);
}

void print_profiler_commands(const std::string& command) {
  std::printf(
      "profile the range:\n"
      "  ncu --profile-from-start off --set full -o op %s\n"
      "  nsys profile --capture-range=cudaProfilerApi --trace=cuda,nvtx -o op %s\n",
      command.c_str(), command.c_str());
}

}  // namespace gt
