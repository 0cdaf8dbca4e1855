#include "tests/emulation/semantics.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/launch.cuh"
#include "tests/emulation/managed.h"

namespace gt {
namespace {

__device__ int thread() { return int(threadIdx.x); }

// ---- Warps ----------------------------------------------------------------------------------------------------------

enum class Shuffle { index, up, down, exclusive_or };

template <class T>
__global__ void shuffle(Shuffle kind, int b, int width, T* out) {
  T v = T(10 * thread() + 7);
  if (kind == Shuffle::index) v = __shfl_sync(full_mask, v, b, width);
  if (kind == Shuffle::up) v = __shfl_up_sync(full_mask, v, unsigned(b), width);
  if (kind == Shuffle::down) v = __shfl_down_sync(full_mask, v, unsigned(b), width);
  if (kind == Shuffle::exclusive_or) v = __shfl_xor_sync(full_mask, v, b, width);
  out[thread()] = v;
}

/// The lane read, as the PTX manual defines shfl.sync.
int source_lane(Shuffle kind, int lane, int b, int width) {
  const int segment = 32 - width, clamp = kind == Shuffle::up ? 0 : 31, step = b & 31;
  const int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
  int j = 0;
  bool valid = true;
  switch (kind) {
    case Shuffle::up:
      j = lane - step, valid = j >= last;
      break;
    case Shuffle::down:
      j = lane + step, valid = j <= last;
      break;
    case Shuffle::exclusive_or:
      j = lane ^ step, valid = j <= last;
      break;
    case Shuffle::index:
      j = first | (step & ~segment), valid = j <= last;
      break;
  }
  return valid ? j : lane;
}

template <class T>
std::string shuffles_of() {
  for (const Shuffle kind : {Shuffle::index, Shuffle::up, Shuffle::down, Shuffle::exclusive_or})
    for (const int width : {1, 2, 4, 8, 16, 32})
      for (const int b : {0, 1, 3, 8, 17, 31, 32}) {
        Managed<T> out(32);
        launch({1, 32}, shuffle<T>, kind, b, width, out.data());
        const std::string wrong = difference(str_cat("kind ", int(kind), " b ", b, " width ", width, " lane ").c_str(),
                                             out, [&](int i) { return 10 * source_lane(kind, i, b, width) + 7; });
        if (!wrong.empty()) return wrong;
      }
  return "";
}

std::string shuffles() {
  return shuffles_of<int>() + shuffles_of<unsigned>() + shuffles_of<long long>() + shuffles_of<unsigned long long>() +
         shuffles_of<float>() + shuffles_of<double>();
}

// The two halves of a warp run 3 and 5 iterations.
__global__ void half_warps(int* out) {
  const bool low = thread() % 32 < 16;
  const unsigned mask = low ? 0xffffu : 0xffff0000u;
  int v = thread();
  for (int i = 0; i < (low ? 3 : 5); ++i) v += __shfl_xor_sync(mask, v, 1, 16);
  out[thread()] = v;
}

std::string half_warps_diverge() {
  Managed<int> out(64);
  launch({1, 64}, half_warps, out.data());
  return difference("out", out, [](int i) { return (2 * (i & ~1) + 1) << (i % 32 < 16 ? 2 : 4); });
}

__global__ void votes(unsigned mask, unsigned predicates, unsigned* out) {
  const int lane = thread();
  const bool predicate = predicates >> lane & 1;
  if (!(mask >> lane & 1)) return;
  out[3 * lane] = __ballot_sync(mask, predicate);
  out[3 * lane + 1] = __any_sync(mask, predicate) != 0;
  out[3 * lane + 2] = __all_sync(mask, predicate) != 0;
}

std::string votes_of_masks() {
  for (const unsigned mask : {0xffffffffu, 0x1u, 0x0f0f0f0fu, 0x80000001u})
    for (const unsigned predicates : {0u, 0xffffffffu, 0x12345678u, 0x0f0f0f0fu}) {
      Managed<unsigned> out(96, 77);
      launch({1, 32}, votes, mask, predicates, out.data());
      const std::string wrong =
          difference(str_cat("mask ", mask, " predicates ", predicates, " ").c_str(), out, [&](int i) {
            const unsigned ballot = mask & predicates, results[] = {ballot, ballot != 0, ballot == mask};
            return mask >> i / 3 & 1 ? results[i % 3] : 77u;
          });
      if (!wrong.empty()) return wrong;
    }
  return "";
}

// In blocks of 40 threads the second warp has 8 lanes.
__global__ void partial_warp(unsigned* out) {
  const unsigned mask = thread() < 32 ? full_mask : 0xffu;
  const unsigned sum = unsigned(thread()) + __shfl_xor_sync(mask, unsigned(thread()), 4, 8);
  __syncwarp(mask);
  out[blockIdx.x * 40 + threadIdx.x] = sum + 1000 * unsigned(__popc(__ballot_sync(mask, thread() % 2)));
}

std::string partial_warps() {
  Managed<unsigned> out(120);
  launch({3, 40}, partial_warp, out.data());
  return difference("out", out, [](int i) {
    const int t = i % 40;
    return t + (t ^ 4) + 1000 * (t < 32 ? 16 : 4);
  });
}

// An inclusive scan of each warp in shared memory.
__global__ void scan(const int* in, int* out) {
  GT_SHARED(int, s, [64]);
  const int lane = thread() % 32;
  int v = in[thread()];
  for (int step = 1; step < 32; step *= 2) {
    s[thread()] = v;
    __syncwarp();
    if (lane >= step) v += s[thread() - step];
    __syncwarp();
  }
  out[thread()] = v;
}

std::string scan_of_warps() {
  Managed<int> in(64, 3), out(64);
  launch({1, 64}, scan, in.data(), out.data());
  return difference("out", out, [](int i) { return 3 * (i % 32 + 1); });
}

// ---- Blocks and grids -----------------------------------------------------------------------------------------------

__global__ void counting_barriers(int* out) {
  const int t = thread(), iterations = 3;
  for (int i = 0; i < iterations; ++i) {
    out[4 * t] = __syncthreads_count(t % 3 == i);
    out[4 * t + 1] = __syncthreads_or(t == 99) != 0;
    out[4 * t + 2] = __syncthreads_and(t >= 0) != 0;
    out[4 * t + 3] = __syncthreads_and(t != 50) * 2 + __syncthreads_or(t > 99);
  }
}

std::string barriers_count() {
  Managed<int> out(400);
  launch({1, 100}, counting_barriers, out.data());
  return difference("out", out, [](int i) { return i % 4 == 0 ? 33 : i % 4 == 3 ? 0 : 1; });
}

__global__ void coordinates(int* out) {
  const uint3 b = blockIdx, t = threadIdx;
  const unsigned block = b.x + gridDim.x * (b.y + gridDim.y * b.z);
  const unsigned linear = t.x + blockDim.x * (t.y + blockDim.y * t.z);
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  out[block * threads + linear] = int(b.x + 10 * b.y + 100 * b.z + 1000 * t.x + 10000 * t.y + 100000 * t.z);
}

std::string three_dimensions() {
  Managed<int> out(3 * 2 * 4 * 4 * 3 * 2);
  launch({.grid = {3, 2, 4}, .block = {4, 3, 2}}, coordinates, out.data());
  return difference("out", out, [](int i) {
    const int t = i % 24, b = i / 24;
    return b % 3 + 10 * (b / 3 % 2) + 100 * (b / 6) + 1000 * (t % 4) + 10000 * (t / 4 % 3) + 100000 * (t / 12);
  });
}

template <class T, int rows>
__global__ void transpose(const T* in, T* out) {
  GT_SHARED(T, tile, [rows][rows + 1]);
  GT_SHARED(int, count);
  if (threadIdx.x == 0 && threadIdx.y == 0) count = rows;
  tile[threadIdx.y][threadIdx.x] = in[threadIdx.y * rows + threadIdx.x];
  __syncthreads();
  out[threadIdx.y * rows + threadIdx.x] = tile[threadIdx.x][threadIdx.y] + T(count);
}

template <class T, int rows>
std::string transposes() {
  Managed<T> in(rows * rows), out(rows * rows);
  for (int i = 0; i < rows * rows; ++i) in.data()[i] = T(i);
  launch({.grid = 1, .block = {rows, rows}}, transpose<T, rows>, in.data(), out.data());
  return difference("out", out, [](int i) { return i % rows * rows + i / rows + rows; });
}

std::string static_shared_memory() { return transposes<float, 32>() + transposes<double, 7>(); }

template <class T>
__global__ void reverse(int n, T* data) {
  GT_DYNAMIC_SHARED(T, s);
  for (int i = thread(); i < n; i += int(blockDim.x)) s[i] = data[i];
  __syncthreads();
  for (int i = thread(); i < n; i += int(blockDim.x)) data[i] = s[n - 1 - i];
}

template <class T>
std::string reverses(int n) {
  Managed<T> data(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) data.data()[i] = T(i);
  launch({.grid = 1, .block = 96, .shared_bytes = size_t(n) * sizeof(T)}, reverse<T>, n, data.data());
  return difference("data", data, [n](int i) { return n - 1 - i; });
}

std::string dynamic_shared_memory() {
  return reverses<int>(1) + reverses<float>(101) + reverses<double>(25 * 1024 / 2);  // 100 KiB
}

// ---- Atomics --------------------------------------------------------------------------------------------------------

template <class T>
__global__ void add(T* sum, T* before) {
  before[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(sum, T(1));
}

template <class T>
std::string adds() {
  Managed<T> sum(1), before(150);
  launch({3, 50}, add<T>, sum.data(), before.data());
  std::vector<int> seen(150);
  for (const T b : before.values()) ++seen[size_t(b)];
  for (const int times : seen)
    if (times != 1) return "atomicAdd gave a value twice";
  return difference("sum", sum, [](int) { return 150; });
}

__global__ void atomics(unsigned* u, int* i) {
  const int n = int(blockIdx.x * blockDim.x + threadIdx.x);  // below 192
  atomicMax(&i[0], n - 10);
  atomicMin(&i[1], n - 10);
  atomicOr(&u[0], 1u << n % 32);
  atomicAnd(&u[1], ~(2u << n % 16));
  if (n == 77) atomicExch(&u[2], 5u);
  unsigned old = 0, expected;
  do {  // counts by compare and swap; a plain load of the first value would race
    expected = old;
    old = atomicCAS(&u[3 + n % 2], expected, expected + 1);
  } while (old != expected);
}

std::string atomics_of_all_kinds() {
  Managed<unsigned> u(5, 0xf00fffffu);
  Managed<int> i(2);
  launch({3, 64}, atomics, u.data(), i.data());
  const unsigned expected[] = {0xffffffffu, 0xf00e0001u, 5u, 0xf00fffffu + 96, 0xf00fffffu + 96};
  return adds<int>() + adds<unsigned>() + adds<unsigned long long>() + adds<float>() + adds<double>() +
         difference("signed", i, [](int k) { return k == 0 ? 181 : -10; }) +
         difference("unsigned", u, [&](int k) { return expected[k]; });
}

__global__ void sum_by_last_block(int n, const float* in, float* partial, unsigned* count, float* out) {
  GT_SHARED(bool, last);
  if (thread() == 0) {
    float sum = 0;
    for (int i = int(blockIdx.x); i < n; i += int(gridDim.x)) sum += in[i];
    partial[blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd(count, 1u) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (!last) return;
  if (thread() == 0) *count = 0;
  float sum = 0;
  for (int i = 0; i < int(gridDim.x); ++i) sum += static_cast<volatile float*>(partial)[i];
  out[thread()] = sum;
}

std::string last_block_sums() {
  Managed<float> in(1000, 0.5f), partial(7), out(64);
  Managed<unsigned> count(1);
  for (int i = 0; i < 2; ++i)
    launch({7, 64}, sum_by_last_block, 1000, in.data(), partial.data(), count.data(), out.data());
  return difference("count", count, [](int) { return 0; }) + difference("out", out, [](int) { return 500; });
}

// Each block takes a ticket when it starts, publishes a value and waits for all blocks of its half of the grid.
__global__ void sum_while_others_wait(unsigned* counts, const float* in, float* published, float* out) {
  GT_SHARED(unsigned, ticket);
  if (thread() == 0) ticket = atomicAdd(&counts[0], 1u);
  __syncthreads();
  const unsigned half = gridDim.x / 2, group = ticket / half;
  const float value = in[ticket * blockDim.x + threadIdx.x];
  if (thread() == 63) published[ticket] = value;
  __syncthreads();
  if (thread() == 0) {
    __threadfence();
    atomicAdd(&counts[1 + group], 1u);
    while (atomicAdd(&counts[1 + group], 0u) < half) __nanosleep(20);
    __threadfence();
  }
  __syncthreads();
  float sum = value;  // a register must keep its value while the block waits
  for (unsigned i = 0; i < half; ++i) sum += static_cast<volatile float*>(published)[group * half + i];
  out[ticket * blockDim.x + threadIdx.x] = sum;
}

std::string blocks_wait_for_each_other() {
  constexpr int blocks = 20;
  Managed<float> in(blocks * 64), published(blocks), out(blocks * 64);
  Managed<unsigned> counts(3);
  const auto expected = [](int i) { return i / 64 * 2 + (i % 64 == 63); };
  for (int i = 0; i < blocks * 64; ++i) in.data()[i] = float(expected(i));
  launch({blocks, 64}, sum_while_others_wait, counts.data(), in.data(), published.data(), out.data());
  return difference("out", out, [=](int i) { return expected(i) + (i < blocks * 32 ? 100 : 300); });
}

// ---- Launches -------------------------------------------------------------------------------------------------------

struct Pair {
  int a;
  double b;
};

__global__ void parameters(int n, double x, float y, const int* p, Pair pair, bool yes, uint8_t byte, int64_t big,
                           double* out) {
  const double values[] = {double(n),    x,          y, p == nullptr ? 1.0 : 0.0, pair.a + pair.b, yes ? 1.0 : 0.0,
                           double(byte), double(big)};
  for (int i = 0; i < 8; ++i) out[i] = values[i];
}

std::string arguments_convert() {
  Managed<double> out(8);
  launch({1, 1}, parameters, int64_t{-3}, 2, 0.5, nullptr, Pair{1, 0.25}, true, 200, 7u, out.data());
  const double expected[] = {-3, 2, 0.5, 1, 1.25, 1, 200, 7};
  return difference("parameter", out, [&](int i) { return expected[i]; });
}

__global__ void write_one(int* out) { *out = 1; }

std::string empty_grids_run_nothing() {
  Managed<int> out(1);
  launch({.grid = blocks_for(0, 256), .block = 256}, write_one, out.data());
  launch({.grid = {1, 0}, .block = 1}, write_one, out.data());
  launch({.grid = {1, 1, 0}, .block = 1}, write_one, out.data());
  return difference("out", out, [](int) { return 0; });
}

__global__ void functions(const float* in, float* out) {
  const float nan = in[1];
  out[0] = __ldg(&in[0]) - 4;
  out[1] = max(nan, 3.0f) - 3;
  out[2] = min(2.0f, nan) - 2;
  out[3] = float(max(-1, 4) + min(-1, 4)) - 3;
  out[4] = rsqrtf(in[0]) - 0.5f;
  out[5] = float(__popc(0xf0f0u) + __clz(1) + __ffs(8) + __ffs(0)) - (8 + 31 + 4 + 0);
  out[6] = float(__umulhi(0x80000000u, 6u)) - 3;
  out[7] = __int_as_float(__float_as_int(1.5f)) - 1.5f;
  const float4 v = make_float4(1, 2, 3, 4);
  out[8] = v.x + v.y + v.z + v.w - 10;
}

std::string device_functions() {
  Managed<float> in(2, 4), out(9, 1);
  in.data()[1] = std::numeric_limits<float>::quiet_NaN();
  launch({1, 1}, functions, in.data(), out.data());
  return difference("out", out, [](int) { return 0; });
}

static_assert(alignof(float2) == 8 && alignof(float4) == 16 && alignof(double2) == 16 && alignof(int4) == 16);
static_assert(alignof(float3) == 4 && alignof(uchar4) == 4 && alignof(short4) == 8 && sizeof(uint3) == 12);

}  // namespace

const std::vector<Rule>& semantics() {
#define RULE(name) \
  { #name, name }
  static const std::vector<Rule> all = {RULE(shuffles),
                                        RULE(half_warps_diverge),
                                        RULE(votes_of_masks),
                                        RULE(partial_warps),
                                        RULE(scan_of_warps),
                                        RULE(barriers_count),
                                        RULE(three_dimensions),
                                        RULE(static_shared_memory),
                                        RULE(dynamic_shared_memory),
                                        RULE(last_block_sums),
                                        RULE(blocks_wait_for_each_other),
                                        RULE(atomics_of_all_kinds),
                                        RULE(arguments_convert),
                                        RULE(device_functions),
                                        RULE(empty_grids_run_nothing)};
#undef RULE
  return all;
}

}  // namespace gt
