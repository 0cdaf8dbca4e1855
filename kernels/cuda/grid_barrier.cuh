// Blocks of a launch that wait for each other, so that they know a sum over all of them while they still hold what they
// have summed.
//
// A block that waits keeps its place on the device, so those that it waits for must have theirs. Blocks take their work
// in the order in which they start: those of one meeting have neighbouring turns, and all before them go on without
// them. So nobody waits for ever where the device holds all blocks of a meeting at once (blocks_at_once()).
#pragma once

#include "core/launch.cuh"

#if GT_CUDA

namespace gt {

inline constexpr int64_t max_barriers = 4096;  // of a launch

/// Whether the blocks of a launch may meet, so many in each, where the device holds `held` at once: twice as many, so
/// that others work while they wait.
inline bool fit_at_once(int64_t barrier, int64_t blocks, int64_t held) {
  return barrier <= max_barriers && 2 * blocks <= held;
}

/// Over counters in device memory that are 0 before a launch and after it: one for the turns, one for the blocks that
/// have left, and one for each meeting. All threads of a block call each function, once.
struct GridBarrier {
  unsigned* counters;  // (2 + barrier)

  static constexpr unsigned enough = 1 << 24;  // looks at a counter: some ten seconds

  static constexpr int64_t counters_of(int64_t barrier) { return 2 + barrier; }

  /// The block's place among those that have started.
  __device__ unsigned ticket() const {
    GT_SHARED(unsigned, taken);
    if (threadIdx.x == 0) taken = atomicAdd(&counters[0], 1u);
    __syncthreads();
    return taken;
  }

  /// Waits until `blocks` blocks have come here. What they have written by then is there for all.
  __device__ void arrive_and_wait(int64_t meeting, unsigned blocks) const {
    __syncthreads();
    if (threadIdx.x == 0) {
      unsigned* const arrived = &counters[2 + meeting];
      __threadfence();
      atomicAdd(arrived, 1u);
      for (unsigned looks = 0; atomicAdd(arrived, 0u) < blocks; ++looks) {
        if (looks == enough) __trap();  // an error is better than a device that hangs
        __nanosleep(20);
      }
      __threadfence();
    }
    __syncthreads();
  }

  /// After a block's last meeting: the last one to leave puts the counters back.
  __device__ void leave(int64_t barrier) const {
    if (threadIdx.x != 0) return;
    __threadfence();
    if (atomicAdd(&counters[1], 1u) != gridDim.x - 1) return;
    for (int64_t i = 0; i < counters_of(barrier); ++i) counters[i] = 0;
  }
};

}  // namespace gt

#endif
