// The functions that code compiled with -fsanitize=thread calls, for the race detector. They replace the compiler's
// library. Host code in kernel files calls them too; outside of emulated threads nothing is recorded.
#include <cstddef>
#include <cstdint>

#include "core/emulation/races.h"

using gt::emulation::detector::access;
using gt::emulation::detector::Access;

#define PLACE __builtin_return_address(0)

#define LOADS_AND_STORES(prefix, bytes)                                                       \
  void __tsan_##prefix##read##bytes(const void* p) { access(p, bytes, Access::read, PLACE); } \
  void __tsan_##prefix##write##bytes(const void* p) { access(p, bytes, Access::write, PLACE); }

#define FETCH(bits, T, name)                                     \
  T __tsan_atomic##bits##_##name(volatile T* p, T v, int) {      \
    access(const_cast<T*>(p), sizeof(T), Access::atomic, PLACE); \
    return __atomic_##name(p, v, __ATOMIC_SEQ_CST);              \
  }

// Atomic loads are not recorded, because kernels have none.
#define ATOMICS(bits, T)                                                                                  \
  T __tsan_atomic##bits##_load(const volatile T* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); } \
  void __tsan_atomic##bits##_store(volatile T* p, T v, int) {                                             \
    access(const_cast<T*>(p), sizeof(T), Access::atomic, PLACE);                                          \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                             \
  }                                                                                                       \
  T __tsan_atomic##bits##_exchange(volatile T* p, T v, int) {                                             \
    access(const_cast<T*>(p), sizeof(T), Access::atomic, PLACE);                                          \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                       \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* expected, T v, int, int) {          \
    access(const_cast<T*>(p), sizeof(T), Access::atomic, PLACE);                                          \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }                                                                                                       \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* expected, T v, int, int) {            \
    access(const_cast<T*>(p), sizeof(T), Access::atomic, PLACE);                                          \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }                                                                                                       \
  FETCH(bits, T, fetch_add)                                                                               \
  FETCH(bits, T, fetch_sub)                                                                               \
  FETCH(bits, T, fetch_and)                                                                               \
  FETCH(bits, T, fetch_or)                                                                                \
  FETCH(bits, T, fetch_xor)                                                                               \
  FETCH(bits, T, fetch_nand)

extern "C" {

LOADS_AND_STORES(, 1)
LOADS_AND_STORES(, 2)
LOADS_AND_STORES(, 4)
LOADS_AND_STORES(, 8)
LOADS_AND_STORES(, 16)
LOADS_AND_STORES(unaligned_, 2)
LOADS_AND_STORES(unaligned_, 4)
LOADS_AND_STORES(unaligned_, 8)
LOADS_AND_STORES(unaligned_, 16)

void __tsan_read_range(const void* p, size_t bytes) { access(p, bytes, Access::read, PLACE); }
void __tsan_write_range(const void* p, size_t bytes) { access(p, bytes, Access::write, PLACE); }

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)

void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
}
