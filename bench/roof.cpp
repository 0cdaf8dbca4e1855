#include "bench/roof.h"

#include <unistd.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "bench/clock.h"
#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/cases/op_case.h"

namespace gt {
namespace {

constexpr int64_t floats_in_256_mib = int64_t(64) << 20;
constexpr double seconds_to_measure = 0.5;

/// The rate of the fastest of several runs; `run` returns its bytes or its operations.
double best_rate(Device device, const std::function<double()>& run) {
  run();
  synchronize(device);
  double best = 0, spent = 0;
  for (int k = 0; k < 3 || (spent < seconds_to_measure && k < 1000); ++k) {
    double amount = 0;
    const double seconds = seconds_of(device, [&] { amount = run(); });
    best = std::max(best, amount / seconds);
    spent += seconds;
  }
  return best;
}

namespace cpu {

/// Uses stores that bypass the caches if the processor has them: a plain store would first read the overwritten line.
void copy_floats(const float* from, float* to, int64_t n) {
  const int64_t quads = n / 4, threads = num_threads();
  parallel_for(quads, (quads + threads - 1) / threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = 4 * begin; i < 4 * end; i += 4)
#if defined(__SSE__)
      _mm_stream_ps(to + i, _mm_load_ps(from + i));
#else
      for (int64_t k = i; k < i + 4; ++k) to[k] = from[k];
#endif
  });
}

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif
using Vector [[gnu::vector_size(4 * lanes)]] = float;

/// Runs independent chains, enough of them to hide the latency of a multiply-add.
double multiply_adds(float* sink) {
  constexpr int64_t steps = 200000;
  constexpr int chains = 12;
  const int64_t threads = num_threads();
  parallel_for(threads, 1, [&](int64_t thread, int64_t) {
    const volatile float start[2] = {0.999f, 0.001f};  // volatile, so that the compiler does not fold them
    const Vector factor = Vector{} + start[0], term = Vector{} + start[1];
    Vector x[chains];
    for (int c = 0; c < chains; ++c) x[c] = Vector{} + float(c);
    for (int64_t step = 0; step < steps; ++step)
#pragma GCC unroll 12
      for (int c = 0; c < chains; ++c) x[c] = x[c] * factor + term;
    Vector sum{};
    for (int c = 0; c < chains; ++c) sum += x[c];
    for (int lane = 0; lane < lanes; ++lane) sink[thread] += sum[lane];
  });
  return 2.0 * lanes * chains * double(steps) * double(threads);
}

}  // namespace cpu

/// The number of elements, a multiple of 4, of a buffer that is much larger than the caches.
int64_t floats_to_copy() {
#ifdef _SC_LEVEL3_CACHE_SIZE
  const int64_t l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);  // bytes
#else
  const int64_t l3 = 0;
#endif
  return std::max(floats_in_256_mib, l3 / 4 * 4);
}

}  // namespace

#if !GT_CUDA || GT_EMULATE
namespace cuda {
void copy_floats(const float*, float*, int64_t) { fail("device 'cuda': this build does not measure it"); }
double multiply_adds(float*) { fail("device 'cuda': this build does not measure it"); }
}  // namespace cuda
#endif

Roof measure_roof(Device device) {
  const bool on_cuda = device == Device::cuda;
  const int64_t n = floats_to_copy();
  const Tensor from = Tensor::zeros({n}, DType::f32, device), to = Tensor::zeros({n}, DType::f32, device);
  const Tensor sink = Tensor::zeros({std::max<int64_t>(1024, num_threads())}, DType::f32, device);
  Roof roof;
  roof.bytes_per_second = best_rate(device, [&] {
    (on_cuda ? cuda::copy_floats : cpu::copy_floats)(from.data<float>(), to.data<float>(), n);
    return 2.0 * double(n) * sizeof(float);
  });
  roof.flops_per_second =
      best_rate(device, [&] { return (on_cuda ? cuda::multiply_adds : cpu::multiply_adds)(sink.data<float>()); });
  if (on_cuda) {
    constexpr int64_t side = 8192;
    // Random values: on zeros a GPU draws less power and runs faster.
    const Tensor a = Maker{DType::bf16, Random(1)}.uniform({side, side}, -1, 1).to(device);
    roof.bf16_products_per_second = best_rate(device, [&] {
      const NoGrad no_grad;
      matmul(a, a);
      return 2.0 * side * side * side;
    });
  }
  return roof;
}

}  // namespace gt
