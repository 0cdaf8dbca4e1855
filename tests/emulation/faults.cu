#include "tests/emulation/faults.h"

#include <cstdlib>
#include <memory>

#include "core/launch.cuh"

namespace gt {
namespace {

constexpr int block = 64, blocks = 3;
static_assert(block * blocks == fault_size);

__device__ int thread() { return int(threadIdx.x); }
__device__ int element() { return int(blockIdx.x) * block + thread(); }

// ---- Missing synchronisation ----------------------------------------------------------------------------------------

template <bool faulty>
__global__ void missing_barrier(const float* in, float* out) {
  GT_SHARED(float, s, [block]);
  s[thread()] = in[element()];
  if (!faulty) __syncthreads();
  out[element()] = s[block - 1 - thread()];
}

template <bool faulty>
__global__ void missing_barrier_in_loop(const float* in, float* out) {  // the next iteration overwrites values
  GT_SHARED(float, s, [block]);
  float sum = 0;
  for (int i = 0; i < 4; ++i) {
    s[thread()] = in[element()] + float(i);
    __syncthreads();
    sum += s[block - 1 - thread()];
    if (!faulty) __syncthreads();
  }
  out[element()] = sum;
}

template <bool faulty>
__global__ void missing_syncwarp(const float* in, float* out) {  // assumes that a warp runs in lockstep
  GT_SHARED(float, s, [block]);
  s[thread()] = in[element()];
  if (!faulty) __syncwarp();
  out[element()] = s[thread() ^ 1];
}

template <bool faulty>
__global__ void shuffle_as_barrier(const float* in, float* out) {  // a shuffle orders no memory
  GT_SHARED(float, s, [block]);
  s[thread()] = in[element()];
  const float own = __shfl_xor_sync(full_mask, in[element()], 0);
  if (!faulty) __syncwarp();
  out[element()] = s[thread() ^ 1] + own;
}

template <bool faulty>
__global__ void vote_as_barrier(const float* in, float* out) {  // nor does a vote
  GT_SHARED(float, s, [block]);
  s[thread()] = in[element()];
  const bool all = __all_sync(full_mask, in[element()] > 0);
  if (!faulty) __syncwarp();
  out[element()] = all ? s[thread() ^ 1] : 0;
}

template <bool faulty>
__global__ void syncwarp_for_a_block(const float* in, float* out) {
  GT_SHARED(float, s, [block]);
  s[thread()] = in[element()];
  if (faulty)
    __syncwarp();
  else
    __syncthreads();
  out[element()] = s[block - 1 - thread()];
}

template <bool faulty>
__global__ void syncwarp_of_too_few(const float* in, float* out) {  // the halves read from each other
  GT_SHARED(float, s, [block]);
  s[thread()] = in[element()];
  __syncwarp(!faulty ? full_mask : thread() % 32 < 16 ? 0xffffu : 0xffff0000u);
  out[element()] = s[thread() ^ 16];
}

template <bool faulty>
__global__ void unwritten_shared(const float* in, float* out) {
  GT_SHARED(float, s, [block]);
  if (!faulty || thread() < 32) s[thread()] = in[element()];
  __syncthreads();
  out[element()] = s[block - 1 - thread()];
}

template <bool faulty>
__global__ void two_warps_write_one(const float* in, float* out) {
  GT_SHARED(float, s, [2]);
  if (thread() % 32 == 0) s[faulty ? 0 : thread() / 32] = in[0];
  __syncthreads();
  out[element()] = s[0];
}

template <bool faulty>
__global__ void missing_atomic(const float* in, float* out) {
  if (thread() != 0) return;
  if (faulty)
    out[0] += in[blockIdx.x];
  else
    atomicAdd(&out[0], in[blockIdx.x]);
}

template <bool faulty>
__global__ void atomic_and_plain(const float* in, float* out) {
  if (thread() != 0) return;
  if (faulty && blockIdx.x == 0)
    out[0] += in[0];
  else
    atomicAdd(&out[0], in[blockIdx.x]);
}

template <bool faulty>
__global__ void blocks_overlap(const float* in, float* out) {
  out[element()] = in[element()];
  if (faulty && thread() == 0 && blockIdx.x > 0) out[element() - 1] = in[element() - 1];
}

template <bool faulty>
__global__ void missing_fence(const float* in, float* out) {  // the last block sums the values of all
  GT_SHARED(bool, last);
  if (thread() == 0) {
    out[1 + blockIdx.x] = in[blockIdx.x];
    if (!faulty) __threadfence();
    last = atomicAdd(&out[0], 1.0f) == float(gridDim.x - 1);
    __threadfence();
  }
  __syncthreads();
  if (last && thread() < 2) out[10 + thread()] = out[1 + thread()] + out[2 + thread()];
}

template <bool faulty>
__global__ void missing_fence_before_waiting(const float* in, float* out) {  // all blocks wait for the values of all
  if (thread() == 0) {
    out[1 + blockIdx.x] = in[blockIdx.x];
    if (!faulty) __threadfence();
    atomicAdd(&out[0], 1.0f);
    while (atomicAdd(&out[0], 0.0f) < float(gridDim.x)) __nanosleep(20);
    __threadfence();
  }
  __syncthreads();
  if (thread() < 3) out[10 + blockIdx.x * 3 + thread()] = out[1 + thread()];
}

template <bool faulty>
__global__ void missing_fence_after_waiting(const float* in, float* out) {  // reads may be older than the loop's end
  if (thread() == 0) {
    out[1 + blockIdx.x] = in[blockIdx.x];
    __threadfence();
    atomicAdd(&out[0], 1.0f);
    while (atomicAdd(&out[0], 0.0f) < float(gridDim.x)) __nanosleep(20);
    if (!faulty) __threadfence();
  }
  __syncthreads();
  if (thread() < 3) out[10 + blockIdx.x * 3 + thread()] = out[1 + thread()];
}

template <bool faulty>
__global__ void missing_fence_of_last_block(const float* in, float* out) {  // the last block reads the values of all
  GT_SHARED(bool, last);
  if (thread() == 0) {
    out[1 + blockIdx.x] = in[blockIdx.x];
    __threadfence();
    last = atomicAdd(&out[0], 1.0f) == float(gridDim.x - 1);
    if (!faulty) __threadfence();
  }
  __syncthreads();
  if (last && thread() < 2) out[10 + thread()] = out[1 + thread()] + out[2 + thread()];
}

template <bool faulty>
__global__ void waiting_for_one_more(const float* in, float* out) {
  if (thread() == 0) {
    atomicAdd(&out[0], 1.0f);
    while (atomicAdd(&out[0], 0.0f) < float(gridDim.x + faulty)) __nanosleep(20);
  }
  __syncthreads();
  if (element() > 0) out[element()] = in[element()];
}

template <bool faulty>
__global__ void trapping(const float* in, float* out) {
  if (faulty && element() == 5) __trap();
  out[element()] = in[element()];
}

// ---- Wrong addresses and overflow -----------------------------------------------------------------------------------

template <bool faulty>
__global__ void past_static_shared(const float* in, float* out) {
  GT_SHARED(float, s, [block]);
  s[thread() + faulty] = in[element()];
  __syncthreads();
  out[element()] = s[block - 1 - thread() + faulty];
}

__device__ void put(float* s, int i, float v) { s[i] = v; }

template <bool faulty>
__global__ void past_static_shared_by_pointer(const float* in, float* out) {
  GT_SHARED(float, s, [block]);
  GT_SHARED(float, after, [block]);
  after[thread()] = in[element()];
  put(s, thread(), in[element()]);
  if (faulty && thread() == block - 1) put(s, block, 0);
  __syncthreads();
  out[element()] = s[block - 1 - thread()] + after[thread()];
}

__global__ void reverse_in_dynamic_shared(const float* in, float* out) {
  GT_DYNAMIC_SHARED(float, s);
  s[thread()] = in[element()];
  __syncthreads();
  out[element()] = s[block - 1 - thread()];
}

template <bool faulty>
__global__ void global_read(const float* in, float* out) {
  const float next = in[faulty ? element() + 1 : element()];
  out[element()] = next == 1e30f ? 0.0f : in[element()];
}

template <bool faulty>
__global__ void global_write(const float* in, float* out) {
  out[element()] = in[element()];
  if (faulty && element() == fault_size - 1) out[fault_size] = 0;
}

template <bool faulty>
__global__ void misaligned_vector(const float* in, float* out) {
  const float2 v = *reinterpret_cast<const float2*>(in + 2 * (element() / 4) + faulty);
  out[element()] = faulty ? v.x : v.y;
}

template <bool faulty>
__global__ void int_overflow(const float* in, float* out) {
  const int n = 50000 + thread();
  const size_t square = faulty ? size_t(n * n) : size_t(n) * size_t(n);
  out[element()] = in[square % block];
}

// ---- Misused barriers and warp operations ---------------------------------------------------------------------------

template <bool faulty>
__global__ void divergent_barrier(const float* in, float* out) {
  if (faulty && thread() < 32) {
    __syncthreads();
    out[element()] = in[element()];
  } else {
    __syncthreads();
    out[element()] = in[element()];
  }
}

template <bool faulty>
__global__ void skipped_barrier(const float* in, float* out) {
  if (faulty && thread() >= 60) return;
  out[element()] = in[element()];
  __syncthreads();
}

template <bool faulty>
__global__ void half_block_half_warp(const float* in, float* out) {
  if (!faulty || thread() % 2 == 0) __syncthreads();
  out[element()] = __shfl_xor_sync(full_mask, in[element()], 1);
}

template <bool faulty>
__global__ void shuffle_in_branch(const float* in, float* out) {
  float v = in[element()];
  if (!faulty || thread() % 32 < 20) v += __shfl_down_sync(full_mask, v, 1);
  out[element()] = v;
}

template <bool faulty>
__global__ void shuffles_on_two_lines(const float* in, float* out) {
  float v = in[element()];
  if (faulty && thread() % 2 == 0)
    v += __shfl_xor_sync(full_mask, v, 1);
  else
    v += __shfl_xor_sync(full_mask, v, 1);
  out[element()] = v;
}

template <bool faulty>
__global__ void shuffle_from_outside(const float* in, float* out) {
  float v = in[element()];
  if (thread() % 32 < 16) v = __shfl_sync(0xffffu, v, faulty ? 20 : 10);
  out[element()] = v;
}

template <bool faulty>
__global__ void mask_without_caller(const float* in, float* out) {
  float v = in[element()];
  if (thread() % 32 < 16) v = __shfl_sync(faulty ? 0xfffeu : 0xffffu, v, 1);
  out[element()] = v;
}

template <bool faulty>
__global__ void too_much_static_shared(const float* in, float* out) {
  GT_SHARED(float, s, [12 * 1024]);
  s[thread()] = in[element()];
  if constexpr (faulty) {
    GT_SHARED(float, more, [block]);
    more[thread()] = 0;
  }
  out[element()] = s[thread()];
}

template <bool faulty>
__global__ void __launch_bounds__(faulty ? block - 1 : block, 2) above_launch_bounds(const float* in, float* out) {
  out[element()] = in[element()];
}

// ---- The table ------------------------------------------------------------------------------------------------------

using Kernel = void (*)(const float*, float*);

template <Kernel kernel, int threads = block, size_t shared_bytes = 0>
void run(const float* in, float* out) {
  launch({.grid = blocks, .block = threads, .shared_bytes = shared_bytes}, kernel, in, out);
}

}  // namespace

const std::vector<Fault>& faults() {
  constexpr auto right = Values::right, wrong = Values::wrong, depend_on_order = Values::depend_on_order;
  constexpr const char *none = nullptr, *unwritten = "read of shared memory that the block has not written";
  constexpr size_t limit = 227 * 1024;
#define FAULT(name, ...) \
  { #name, run < name < true>>, run < name < false>>, __VA_ARGS__ }
  static const std::vector<Fault> all = {
      // name, values, error, sanitizer, race
      FAULT(missing_barrier, wrong, none, none, "read after unordered write"),
      FAULT(missing_barrier_in_loop, wrong, none, none, "write after unordered read"),
      FAULT(missing_syncwarp, wrong, none, none, "read after unordered write"),
      FAULT(shuffle_as_barrier, right, none, none, "read after unordered write"),
      FAULT(vote_as_barrier, right, none, none, "read after unordered write"),
      FAULT(syncwarp_for_a_block, depend_on_order, none, none, "read after unordered write"),
      FAULT(syncwarp_of_too_few, depend_on_order, none, none, "read after unordered write"),
      FAULT(unwritten_shared, wrong, none, none, unwritten),
      FAULT(two_warps_write_one, right, none, none, "write after unordered write"),
      FAULT(missing_atomic, right, none, none, "write after unordered write"),
      FAULT(atomic_and_plain, right, none, none, "after unordered write"),
      FAULT(blocks_overlap, right, none, none, "write after unordered write"),
      FAULT(missing_fence, right, none, none, "read after unordered write"),
      FAULT(missing_fence_before_waiting, right, none, none, "read after unordered write"),
      FAULT(missing_fence_after_waiting, right, none, none, "read after unordered write"),
      FAULT(missing_fence_of_last_block, right, none, none, "read after unordered write"),
      FAULT(waiting_for_one_more, wrong, "waits for other blocks", none, none),
      FAULT(trapping, wrong, "called __trap()", none, none),
      FAULT(past_static_shared, right, none, "index 64 out of bounds for type 'float [64]'", none),
      FAULT(past_static_shared_by_pointer, right, none, "use-after-poison", none),
      {"past_dynamic_shared", run<reverse_in_dynamic_shared, block, (block - 1) * 4>,
       run<reverse_in_dynamic_shared, block, block * 4>, right, none, "use-after-poison", none},
      FAULT(global_read, right, none, "heap-buffer-overflow", none),
      FAULT(global_write, right, none, "heap-buffer-overflow", none),
      FAULT(misaligned_vector, right, none, "misaligned address", none),
      FAULT(int_overflow, right, none, "signed integer overflow", none),
      FAULT(divergent_barrier, wrong, "divergent barrier", none, none),
      FAULT(skipped_barrier, wrong, "returned", none, none),
      FAULT(half_block_half_warp, wrong, "deadlock", none, none),
      FAULT(shuffle_in_branch, wrong, "returned", none, none),
      FAULT(shuffles_on_two_lines, wrong, "divergent warp operation", none, none),
      FAULT(shuffle_from_outside, wrong, "shuffle reads lane 20, outside of its mask", none, none),
      FAULT(mask_without_caller, wrong, "the mask lacks the calling lane", none, none),
      FAULT(too_much_static_shared, wrong, "shared arrays take 49408 of 49152 bytes", none, none),
      {"too_much_shared", run<reverse_in_dynamic_shared, block, limit + 4>,
       run<reverse_in_dynamic_shared, block, limit>, wrong, "shared memory takes 232452 of 232448 bytes", none, none},
      {"block_too_large", run<reverse_in_dynamic_shared, 1025>, run<reverse_in_dynamic_shared, block, block * 4>, wrong,
       "invalid configuration", none, none},
      FAULT(above_launch_bounds, wrong, "a block of 64 threads, but __launch_bounds__ of ", none, none),
  };
#undef FAULT
  return all;
}

FaultRun run_fault(void (*kernel)(const float* in, float* out)) {
  const auto array = [] {  // of exact size on the heap, so that AddressSanitizer detects accesses beyond its ends
    return std::unique_ptr<float[]>(new float[fault_size]{});
  };
  const auto in = array(), out = array();
  for (int i = 0; i < fault_size; ++i) in[i] = float(i % 61) + 0.5f;
  FaultRun result;
  try {
    kernel(in.get(), out.get());
  } catch (const Error& e) {
    result.error = e.what();
  }
  result.out.assign(out.get(), out.get() + fault_size);
  return result;
}

}  // namespace gt
