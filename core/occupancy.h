// Occupancy: how many blocks of a kernel a multiprocessor of a GPU holds at once, and what limits their number.
// Source: NVIDIA, CUDA C++ Programming Guide, "Compute Capabilities" (limits per multiprocessor and granularities).
#pragma once

#include <cstdint>
#include <string>

namespace gt {

/// What a multiprocessor has, and what a block may have of it. The defaults are those of compute capabilities 8.0 and
/// 9.0 alike.
struct MultiprocessorLimits {
  int warps = 64;
  int blocks = 32;
  int registers = 65536;
  int64_t shared_bytes = 0;
  int64_t shared_bytes_of_block = 0;  ///< static and dynamic, at most
};

/// The limits of an architecture, "sm_80" or "sm_90". Throws Error for another one.
MultiprocessorLimits multiprocessor_limits(const std::string& arch);

/// What a block of a kernel takes.
struct BlockResources {
  int threads = 0;
  int registers = 0;         ///< of each thread
  int64_t shared_bytes = 0;  ///< static and dynamic
};

/// The blocks of a kernel that a multiprocessor holds at once, by each limit alone.
struct Occupancy {
  int by_warps, by_blocks, by_registers, by_shared;
  double warps_of_block;  ///< as a share of the multiprocessor's warps

  /// The number by all limits together; 0 if a block takes more than there is.
  int blocks() const;
  /// The share of the multiprocessor's warps that these blocks fill, 0 to 1.
  double share() const { return blocks() * warps_of_block; }
  /// The limits that give blocks(), joined by " and ": "warps", "blocks", "registers", "shared memory".
  std::string limited_by() const;
};

/// Throws Error unless `block` has 1 to 1024 threads.
Occupancy occupancy(const BlockResources& block, const MultiprocessorLimits& limits);

}  // namespace gt
