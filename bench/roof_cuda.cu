// The kernels that measure the peak rates of a CUDA device. They are not built for the emulated device.
#include "core/launch.cuh"

#if GT_CUDA && !GT_EMULATE

#include "bench/roof.h"

namespace gt::cuda {
namespace {

constexpr int block = 256;
constexpr int chains = 8;         // independent, to hide the latency of a multiply-add
constexpr int steps = 1024;       // of each chain
constexpr unsigned grid = 16384;  // many times the blocks that a device holds at once, so that the tail is negligible

__global__ void copy_kernel(const float4* from, float4* to, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) to[i] = from[i];
}

__global__ void multiply_adds_kernel(float factor, float term, float* sink) {
  float x[chains];
  for (int c = 0; c < chains; ++c) x[c] = float(c);
  for (int step = 0; step < steps; step += 16)
#pragma unroll
    for (int s = 0; s < 16; ++s)
#pragma unroll
      for (int c = 0; c < chains; ++c) x[c] = fmaf(x[c], factor, term);
  float sum = 0;
  for (int c = 0; c < chains; ++c) sum += x[c];
  if (sum == -1) sink[0] = sum;  // never true, as the values are positive; keeps the loop
}

}  // namespace

void copy_floats(const float* from, float* to, int64_t n) {
  GT_CHECK(n % 4 == 0, "copy_floats: ", n, ": expected a multiple of 4");
  launch({blocks_for(n / 4, block), block}, copy_kernel, reinterpret_cast<const float4*>(from),
         reinterpret_cast<float4*>(to), n / 4);
}

double multiply_adds(float* sink) {
  launch({grid, block}, multiply_adds_kernel, 0.999f, 0.001f, sink);
  return 2.0 * chains * steps * double(block) * double(grid);
}

}  // namespace gt::cuda

#endif
