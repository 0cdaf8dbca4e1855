// CUDA kernels on the CPU, to test them without a GPU. core/launch.cuh includes this header in place of CUDA's.
//
// Every thread of a block is a fiber. Blocks run one after the other on the host thread that launches. A block whose
// threads wait for other blocks (__nanosleep) is suspended until the others have run. Fibers switch only at barriers
// and warp operations, in an order that is forward, reversed or shuffled by a seed. A run therefore repeats exactly,
// and other orders reveal results that depend on the order.
//
// Misuse throws Error with the kernel's line: barriers that some threads do not reach, masks that name absent lanes,
// too much shared memory, blocks that wait forever. The emulation refuses two programs that CUDA allows: a thread that
// returns while others of its block still synchronise, and a warp operation whose lanes are at different source lines.
#pragma once

#include <math.h>  // CUDA has its functions in the global namespace
#include <stdlib.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "core/emulation/vector_types.h"

namespace gt::emulation {

/// The order in which the threads of a block and the blocks of a grid run.
enum class Order { forward, reverse, shuffled };

struct Options {
  Order order = Order::forward;
  uint32_t seed = 1;                 // for Order::shuffled; every launch starts from it
  size_t shared_limit = 227 * 1024;  // bytes of shared memory that a block may have
  size_t blocks_at_once = 64;        // blocks that the device holds; while all of them wait, no other block starts
  bool late_errors = false;          // an error in a kernel is thrown by the next synchronize(), as on a GPU
};

/// The options of the next launches. The order starts as the environment variable GT_EMULATE_ORDER: forward, reverse or
/// shuffled:SEED. Throws Error for another value.
Options& options();

/// Throws the late error, if there is one. For synchronize().
void throw_late_error();

/// Whether this build has the race detector (GRADTRACK_RACES=ON).
bool detects_races();

/// The races found since the last clear_races(), one line each with both places in the source.
std::vector<std::string> races();
void clear_races();

// ---- Implementation of the CUDA names below -------------------------------------------------------------------------

/// A place in a kernel file. std::source_location is missing in clang 14, whose tools read this header.
struct Site {
  const char* file = "";
  int line = 0;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

struct Grid {
  const void* kernel;
  dim3 blocks;
  dim3 threads;  // of a block
  size_t shared_bytes;
  Site launch;
};

/// Runs work for the device now, or appends it to the graph that this thread records.
void submit(std::function<void()> work);

/// Recorded work and the memory that was allocated for it, which is freed with the graph.
struct Graph {
  std::vector<std::function<void()>> work;
  std::vector<std::unique_ptr<void, void (*)(void*)>> memory;
};

/// While one is alive, submit() on this thread appends to `graph`.
class Recording {
 public:
  explicit Recording(Graph& graph);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
};

/// The graph that this thread records, or null.
Graph* recorded_graph();

/// Throws Error, naming `what`, if this thread records a graph: CUDA refuses to wait for the device then.
void require_no_recording(const char* what);

/// Calls thread(argument) for every thread of the grid. Throws what a thread throws; later launches are unaffected.
/// Grids that several host threads launch run one after the other.
void run(const Grid& grid, void (*thread)(const void*), const void* argument);

/// Waits for all threads of the block. Returns the number of threads with a true `predicate`.
int sync_block(bool predicate, Site site);

/// Waits for the lanes of `mask`, which then see what the others have written.
void sync_warp(unsigned mask, Site site);

/// Waits for the lanes of `mask`. Returns the lanes with a true `predicate`.
unsigned ballot(unsigned mask, bool predicate, Site site);

/// Waits for the lanes of `mask`. Returns the value of lane `source`.
uint64_t exchange(unsigned mask, uint64_t value, int source, Site site);

/// The lane of the running thread. Throws Error unless `width` is a power of two up to 32.
int shuffle_lane(int width, Site site);

/// A shared array of the running block. The key identifies the declaration.
void* shared(const void* key, size_t bytes, size_t alignment);
void* dynamic_shared();

/// Suspends the thread until other blocks have run.
void wait_for_blocks(Site site);

/// Throws the Error of __trap().
[[noreturn]] void trap(Site site);

/// Reports a __threadfence() to the race detector.
void fence();

template <class T>
T shuffle(unsigned mask, T value, int source, Site site) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) >= 4 && sizeof(T) <= 8, "as in CUDA");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = exchange(mask, bits, source, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

// Always inlined, so that the race detector sees the kernel's line. The first compare uses a guess instead of a load,
// so that every access to memory is atomic.
template <class T, class F>
[[gnu::always_inline]] inline T read_modify_write(T* address, F f) {
  static_assert(!std::is_same_v<T, long> && !std::is_same_v<T, unsigned long>,
                "CUDA's 64-bit atomics are of long long");
  T old{}, next = f(old);
  while (!__atomic_compare_exchange(address, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) next = f(old);
  return old;
}

}  // namespace gt::emulation

// ---- Keywords and built-in variables --------------------------------------------------------------------------------

#define __global__ __attribute__((used)) static
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline

// A kernel's launch bounds are found in the program's file (core/emulation/program_file.h): GCC writes as many no-ops
// before the kernel as the attribute says, and lists their address. GCC 12 keeps one list for all functions of a file,
// so no kernel may be in a section that the linker merges with other files' ones: hence `used` and `static` above.
#if defined(__GNUC__) && !defined(__clang__)
#define GT_FIRST_ARGUMENT(first, ...) (first)
#define GT_BOUND(...) (GT_FIRST_ARGUMENT(__VA_ARGS__, 0) + 0)
#define __launch_bounds__(...) __attribute__((patchable_function_entry(GT_BOUND(__VA_ARGS__), GT_BOUND(__VA_ARGS__))))
#else
#define __launch_bounds__(...)
#endif

#define __align__(n) alignas(n)

#define GT_SHARED(T, name, ...)      \
  using name##_type = T __VA_ARGS__; \
  static const char name##_key = 0;  \
  auto& name =                       \
      *static_cast<name##_type*>(::gt::emulation::shared(&name##_key, sizeof(name##_type), alignof(name##_type)))
#define GT_DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(::gt::emulation::dynamic_shared())

inline constexpr int warpSize = 32;
inline constinit uint3 threadIdx{}, blockIdx{};
inline constinit dim3 blockDim{}, gridDim{};

// ---- Barriers, votes, shuffles --------------------------------------------------------------------------------------

inline void __syncthreads(gt::emulation::Site at = gt::emulation::Site::here()) {
  gt::emulation::sync_block(false, at);
}
inline int __syncthreads_count(int predicate, gt::emulation::Site at = gt::emulation::Site::here()) {
  return gt::emulation::sync_block(predicate != 0, at);
}
inline int __syncthreads_or(int predicate, gt::emulation::Site at = gt::emulation::Site::here()) {
  return gt::emulation::sync_block(predicate != 0, at) != 0;
}
inline int __syncthreads_and(int predicate, gt::emulation::Site at = gt::emulation::Site::here()) {
  return gt::emulation::sync_block(predicate == 0, at) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, gt::emulation::Site at = gt::emulation::Site::here()) {
  gt::emulation::sync_warp(mask, at);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, gt::emulation::Site at = gt::emulation::Site::here()) {
  return gt::emulation::ballot(mask, predicate != 0, at);
}
inline int __any_sync(unsigned mask, int predicate, gt::emulation::Site at = gt::emulation::Site::here()) {
  return gt::emulation::ballot(mask, predicate != 0, at) != 0;
}
inline int __all_sync(unsigned mask, int predicate, gt::emulation::Site at = gt::emulation::Site::here()) {
  return gt::emulation::ballot(mask, predicate != 0, at) == mask;
}

// Shuffles work within segments of `width` lanes. Up and down stop at the ends of a segment, and xor may read only an
// earlier segment. Offsets count modulo 32, as for shfl.sync in the PTX manual.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              gt::emulation::Site at = gt::emulation::Site::here()) {
  const int lane = gt::emulation::shuffle_lane(width, at);
  return gt::emulation::shuffle(mask, value, (lane & -width) | (source & (width - 1)), at);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 gt::emulation::Site at = gt::emulation::Site::here()) {
  const int lane = gt::emulation::shuffle_lane(width, at), source = lane - int(delta % 32);
  return gt::emulation::shuffle(mask, value, source < (lane & -width) ? lane : source, at);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   gt::emulation::Site at = gt::emulation::Site::here()) {
  const int lane = gt::emulation::shuffle_lane(width, at), source = lane + int(delta % 32);
  return gt::emulation::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  gt::emulation::Site at = gt::emulation::Site::here()) {
  const int lane = gt::emulation::shuffle_lane(width, at), source = lane ^ (bits & 31);
  return gt::emulation::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, at);
}

// ---- Memory ---------------------------------------------------------------------------------------------------------

inline void __threadfence() { gt::emulation::fence(); }
inline void __threadfence_block() {}
inline void __nanosleep(unsigned, gt::emulation::Site at = gt::emulation::Site::here()) {
  gt::emulation::wait_for_blocks(at);
}

[[noreturn]] inline void __trap(gt::emulation::Site at = gt::emulation::Site::here()) { gt::emulation::trap(at); }

template <class T>
[[gnu::always_inline]] inline T __ldg(const T* address) {
  return *address;
}

template <class T>
[[gnu::always_inline]] inline T atomicAdd(T* address, std::type_identity_t<T> value) {
  return gt::emulation::read_modify_write(address, [=](T old) { return T(old + value); });
}
template <class T>
[[gnu::always_inline]] inline T atomicMax(T* address, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>, "as in CUDA");
  return gt::emulation::read_modify_write(address, [=](T old) { return old < value ? value : old; });
}
template <class T>
[[gnu::always_inline]] inline T atomicMin(T* address, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>, "as in CUDA");
  return gt::emulation::read_modify_write(address, [=](T old) { return value < old ? value : old; });
}
template <class T>
[[gnu::always_inline]] inline T atomicOr(T* address, std::type_identity_t<T> value) {
  return gt::emulation::read_modify_write(address, [=](T old) { return T(old | value); });
}
template <class T>
[[gnu::always_inline]] inline T atomicAnd(T* address, std::type_identity_t<T> value) {
  return gt::emulation::read_modify_write(address, [=](T old) { return T(old & value); });
}
template <class T>
[[gnu::always_inline]] inline T atomicExch(T* address, std::type_identity_t<T> value) {
  return gt::emulation::read_modify_write(address, [=](T) { return value; });
}
template <class T>
[[gnu::always_inline]] inline T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T>, "as in CUDA");
  return gt::emulation::read_modify_write(address, [=](T old) { return old == expected ? value : old; });
}

/// Arguments have one type; CUDA also converts between types. Of NaN and a number the result is the number, as in CUDA.
template <class T>
T min(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return std::fmin(a, b);
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return std::fmax(a, b);
  return a < b ? b : a;
}

inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float rsqrt(float x) { return 1 / std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return std::fmin(std::fmax(x, 0.0f), 1.0f); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(unsigned(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(unsigned(x)) + 1; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
