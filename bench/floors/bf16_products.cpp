// How fast one core multiplies bf16 numbers and f32 numbers, with operands in the caches. The loop is that of the
// direct convolution: a tile of 6 pixels and 4 vectors (kernels/cpu/conv_tiles.h). docs/cpu.md has the figures. It
// needs a processor with AVX512-BF16:
//   g++ -std=c++20 -O3 -march=native bench/floors/bf16_products.cpp -o build/bf16_products && build/bf16_products
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace {

constexpr int pixels = 6, vectors = 4, lanes = 16;

/// y (pixels,vectors) += x times w over `channels` inputs. With Bf16, an input is a pair of numbers.
template <bool Bf16>
__attribute__((noinline)) void multiply(const float* x, const float* w, long channels, float* y) {
  __m512 sum[pixels][vectors];
#pragma GCC unroll 6
  for (int p = 0; p < pixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[p][v] = _mm512_loadu_ps(y + (p * vectors + v) * lanes);
  for (long c = 0; c < channels; ++c, w += vectors * lanes) {
    __m512 weight[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) weight[v] = _mm512_loadu_ps(w + v * lanes);
#pragma GCC unroll 6
    for (int p = 0; p < pixels; ++p) {
      const __m512 value = _mm512_set1_ps(x[c + lanes * p]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v)
        if constexpr (Bf16)
          sum[p][v] = _mm512_dpbf16_ps(sum[p][v], __m512bh(value), __m512bh(weight[v]));
        else
          sum[p][v] = _mm512_fmadd_ps(value, weight[v], sum[p][v]);
    }
  }
#pragma GCC unroll 6
  for (int p = 0; p < pixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(y + (p * vectors + v) * lanes, sum[p][v]);
}

/// The best of five times 40000 products.
template <bool Bf16>
double gflops() {
  constexpr long channels = 576, times = 40000;
  const std::vector<float> x(channels + pixels * lanes, 1e-3F), w(channels * vectors * lanes, 1e-3F);
  std::vector<float> y(pixels * vectors * lanes);
  double best = 0;
  for (int k = 0; k < 5; ++k) {
    const auto start = std::chrono::steady_clock::now();
    for (long i = 0; i < times; ++i) multiply<Bf16>(x.data(), w.data(), channels, y.data());
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, 1e-9 * 2 * double(times * channels) * pixels * vectors * lanes * (Bf16 ? 2 : 1) / seconds);
  }
  return best;
}

}  // namespace

int main() {
  if (!__builtin_cpu_supports("avx512bf16")) {
    std::puts("this processor has no AVX512-BF16");
    return 1;
  }
  std::printf("f32   %.0f GFLOP/s\nbf16  %.0f GFLOP/s\n", gflops<false>(), gflops<true>());
}
