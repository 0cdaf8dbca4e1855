// The interface between the emulation and the race detector. The functions are empty in builds without the detector.
#pragma once

#include <cstddef>

namespace gt::emulation {

struct MemoryRange {
  const char* begin;
  const char* end;
  bool contains(const void* p) const { return p >= begin && p < end; }
};

MemoryRange stacks();         // of the threads of the running block
MemoryRange shared_memory();  // of the running block

namespace detector {

#if GT_RACES
enum class Access { read, write, atomic };

void access(const void* p, size_t bytes, Access kind, const void* pc);
void begin_grid();
void begin_block(unsigned block, unsigned threads);
void switch_to_block(unsigned block);
void end_block();
void switch_to_thread(int thread);  // of the block; -1 is the host
void block_barrier();
void warp_barrier(unsigned warp, unsigned mask);
void fence();
#else
inline void begin_grid() {}
inline void begin_block(unsigned, unsigned) {}
inline void switch_to_block(unsigned) {}
inline void end_block() {}
inline void switch_to_thread(int) {}
inline void block_barrier() {}
inline void warp_barrier(unsigned, unsigned) {}
inline void fence() {}
#endif

}  // namespace detector
}  // namespace gt::emulation
