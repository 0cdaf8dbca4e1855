// CUDA for kernel files. No other file launches kernels. nvcc compiles kernel files as CUDA. In the emulated build
// (GRADTRACK_CUDA=EMULATE) g++ compiles them as C++, and core/emulation runs their threads on the CPU. Without CUDA
// this header declares nothing, and kernel files guard their CUDA sections with #if GT_CUDA.
#pragma once

#if GT_CUDA

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "core/check.h"
#include "core/device.h"
#include "core/dry_run.h"
#include "core/kernel_info.h"
#include "core/range.h"

#if GT_EMULATE
#include "core/emulation/emulation.h"
#else
#include <cuda_runtime.h>

// Declarations of shared memory, which the emulation allocates, fills with NaN and guards.
//   GT_SHARED(float, tile, [8][33]);    an array of the block (or a scalar: GT_SHARED(int, count);)
//   GT_DYNAMIC_SHARED(float, buffer);   the launch's shared_bytes, as a float*, aligned to 128 bytes
#define GT_SHARED(T, name, ...) __shared__ T name __VA_ARGS__
#define GT_DYNAMIC_SHARED(T, name)                                          \
  extern __shared__ __align__(128) unsigned char gt_dynamic_shared_bytes[]; \
  T* const name = reinterpret_cast<T*>(gt_dynamic_shared_bytes)
#endif

namespace gt {

inline constexpr int warp_size = 32;
inline constexpr unsigned full_mask = 0xffffffffu;

/// The configuration of a launch. `file` and `line` default to the place in the source that writes the Launch.
struct Launch {
  dim3 grid;
  dim3 block;
  size_t shared_bytes = 0;  // dynamic shared memory of a block
  const char* file = __builtin_FILE();
  int line = __builtin_LINE();
};

/// The number of blocks of `block` threads that cover n items. Throws Error above 2^31 - 1, CUDA's limit.
inline unsigned blocks_for(int64_t n, int block) {
  GT_CHECK(n >= 0 && block > 0, "blocks_for: ", n, " items in blocks of ", block);
  const int64_t blocks = n / block + (n % block != 0);
  GT_CHECK(blocks <= 0x7fffffff, "a grid of ", blocks, " blocks exceeds CUDA's limit of 2^31 - 1");
  return unsigned(blocks);
}

#if !GT_EMULATE
/// Implements launch(). `arguments` point to the values of the kernel's parameters.
void launch_on_stream(const Launch& launch, const void* kernel, void** arguments);

/// Implements blocks_at_once() while blocks may wait for each other. Throws Error without a device.
int64_t blocks_on_device(const void* kernel, int threads, size_t shared_bytes);
#endif

/// The number of blocks of this kernel that the device holds at once for certain. That is 0 unless blocks_may_wait(),
/// and where MPS shares the device with other processes. `shared_bytes` is the dynamic shared memory of a block. A dry
/// run assumes an H200 with at most 1024 threads of the kernel on a multiprocessor.
template <class... Parameters>
int64_t blocks_at_once(void (*kernel)(Parameters...), int threads, size_t shared_bytes) {
  constexpr int64_t multiprocessors = 132, shared_of_each = 227 * 1024;
  if (!blocks_may_wait()) return 0;
  if (dry_run())
    return multiprocessors * std::min<int64_t>(1024 / threads, shared_of_each / int64_t(shared_bytes + 1024));
#if GT_EMULATE
  (void)kernel;
  return int64_t(emulation::options().blocks_at_once);
#else
  return blocks_on_device(reinterpret_cast<const void*>(kernel), threads, shared_bytes);
#endif
}

/// An argument of launch(), converted to the type of the kernel's parameter. Throws Error for an integer out of range.
template <class Parameter, class Argument>
Parameter kernel_argument(const Launch& launch, const Argument& argument) {
  if constexpr (std::is_integral_v<Parameter> && std::is_integral_v<Argument>) {
    if constexpr (sizeof(Parameter) > 1 && sizeof(Argument) > 1) {
      if (!std::in_range<Parameter>(argument))
        fail("launch at ", launch.file, ":", launch.line, ": ", argument, " does not fit the kernel's parameter");
    }
  }
  return argument;
}

/// Runs the kernel on the project's stream. An empty grid runs nothing, and a dry run only counts the launch. Throws
/// Error with file and line if the kernel cannot start. An error inside the kernel is reported by a later call, or here
/// with GT_SYNC=1 in the environment, which waits for every kernel. The emulation runs the grid before launch()
/// returns.
template <class... Parameters, class... Arguments>
void launch(const Launch& launch, void (*kernel)(Parameters...), const Arguments&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "one argument for each parameter of the kernel");
  if (launch.grid.x == 0 || launch.grid.y == 0 || launch.grid.z == 0) return;
  std::tuple<Parameters...> values(kernel_argument<Parameters>(launch, arguments)...);
  const void* const function = reinterpret_cast<const void*>(kernel);
  if (current_profile != nullptr)
    profiling::count_launch({function, int(launch.block.x * launch.block.y * launch.block.z), launch.shared_bytes});
  if (dry_run()) return;
#if GT_EMULATE
  emulation::submit([launch, kernel, function, values] {
    const auto thread = [&] { std::apply(kernel, values); };
    emulation::run(
        {function, launch.grid, launch.block, launch.shared_bytes, {launch.file, launch.line}},
        [](const void* f) { (*static_cast<decltype(&thread)>(f))(); }, &thread);
  });
#else
  std::apply(
      [&](auto&... value) {
        void* pointers[sizeof...(value) + 1] = {&value...};
        launch_on_stream(launch, function, pointers);
      },
      values);
#endif
}

}  // namespace gt

#endif  // GT_CUDA
