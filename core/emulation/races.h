// What the race detector hears from the emulation, and asks it. Nothing in builds without the detector.
#pragma once

#include <cstddef>

namespace gt::emulation {

struct MemoryRange {
  const char* begin;
  const char* end;
  bool contains(const void* p) const { return p >= begin && p < end; }
};

MemoryRange stacks();         // of all emulated threads
MemoryRange shared_memory();  // of the running block

namespace detector {

#if GT_RACES
enum class Access { read, write, atomic };

void access(const void* p, size_t bytes, Access kind, const void* pc);
void begin_grid();
void begin_block(unsigned block, unsigned threads);
void enter_block(unsigned block);  // the one that runs from now on
void end_block();
void enter(int thread);  // of the block; -1: the host
void block_barrier();
void warp_barrier(unsigned warp, unsigned mask);
void fence();
#else
inline void begin_grid() {}
inline void begin_block(unsigned, unsigned) {}
inline void enter_block(unsigned) {}
inline void end_block() {}
inline void enter(int) {}
inline void block_barrier() {}
inline void warp_barrier(unsigned, unsigned) {}
inline void fence() {}
#endif

}  // namespace detector
}  // namespace gt::emulation
