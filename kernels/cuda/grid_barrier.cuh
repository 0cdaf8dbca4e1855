// A barrier between some blocks of a launch. It lets blocks learn a sum over all of them while each still holds what it
// has read.
//
// A waiting block keeps its place on the device, so the blocks it waits for must have places too. Blocks therefore take
// their work by tickets, in the order in which they start. The blocks of one barrier have consecutive tickets, and
// blocks with earlier tickets finish without them. So no block waits for ever if the device can hold all blocks of a
// barrier at once (blocks_at_once()).
#pragma once

#include "core/launch.cuh"

#if GT_CUDA

namespace gt::gpu {

inline constexpr int64_t max_barriers = 4096;  // of a launch

/// Whether a launch may use `barriers` barriers of `blocks` blocks each on a device that holds `resident` blocks at
/// once. It must hold twice a barrier's blocks, so that others work while these wait.
inline bool barriers_fit(int64_t barriers, int64_t blocks, int64_t resident) {
  return barriers <= max_barriers && 2 * blocks <= resident;
}

/// The barriers of a launch, as counters in device memory that are 0 before the launch and after it. There is one for
/// tickets, one for blocks that have left, and one for each barrier. All threads of a block must call each function.
struct GridBarrier {
  unsigned* counters;  // (2 + barriers)

  static constexpr unsigned max_polls = 1 << 24;  // about ten seconds

  static constexpr int64_t counter_count(int64_t barriers) { return 2 + barriers; }

  /// The block's number in the order in which the blocks start. Once in a kernel.
  __device__ unsigned ticket() const {
    GT_SHARED(unsigned, taken);
    if (threadIdx.x == 0) taken = atomicAdd(&counters[0], 1u);
    __syncthreads();
    return taken;
  }

  /// Waits until `blocks` blocks have arrived at this barrier. What they wrote before is then visible to all of them.
  /// After about ten seconds the kernel traps: an error is better than a device that hangs.
  __device__ void arrive_and_wait(int64_t barrier, unsigned blocks) const {
    __syncthreads();
    if (threadIdx.x == 0) {
      unsigned* const arrived = &counters[2 + barrier];
      __threadfence();
      atomicAdd(arrived, 1u);
      for (unsigned polls = 0; atomicAdd(arrived, 0u) < blocks; ++polls) {
        if (polls == max_polls) __trap();
        __nanosleep(20);
      }
      __threadfence();
    }
    __syncthreads();
  }

  /// After a block's last arrive_and_wait(), whose last fence precedes this. The last block to leave sets the counters
  /// back to 0.
  __device__ void leave(int64_t barriers) const {
    if (threadIdx.x != 0) return;
    if (atomicAdd(&counters[1], 1u) != gridDim.x - 1) return;
    __threadfence();
    for (int64_t i = 0; i < counter_count(barriers); ++i) counters[i] = 0;
  }
};

}  // namespace gt::gpu

#endif
