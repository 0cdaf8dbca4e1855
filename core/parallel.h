// Loops over several threads. The blocks of a loop depend on the problem and never on the number of threads. Partial
// sums are added in block order, so every number of threads gives the same bits.
//
// The calling thread runs each block that no other thread has taken. A thread that has lost its core to another program
// therefore delays a loop by its current block at most.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <vector>

#include "core/dry_run.h"

namespace gt {

/// Number of threads that parallel_for uses. Starts as the environment variable OMP_NUM_THREADS says, else as all
/// processors this process may run on.
int num_threads();

/// Sets the number of threads; 0 stands for all processors this process may run on. Throws Error if negative.
void set_num_threads(int count);

/// The number of the calling thread among those of its loop, less than num_threads(). 0 outside of loops.
int thread_index();

using BlockFunction = void (*)(void* context, int64_t block);
/// Calls call(context, i) for every i of [0, blocks): what parallel_for() is made of. Loops inside of loops, and loops
/// of a second thread at the same time, run in the calling thread alone.
void run_blocks(int64_t blocks, BlockFunction call, void* context);

/// Calls f(begin, end) for consecutive blocks of `block` items of [0, n), in several threads. f must not throw. A dry
/// run calls nothing.
template <class F>
void parallel_for(int64_t n, int64_t block, F&& f) {
  if (dry_run()) return;
  const auto run = [&f, n, block](int64_t i) { f(i * block, i * block + block < n ? i * block + block : n); };
  run_blocks((n + block - 1) / block, [](void* context, int64_t i) { (*static_cast<decltype(&run)>(context))(i); },
             const_cast<void*>(static_cast<const void*>(&run)));
}

/// Calls f(i) for every i of [0, n), in several threads. If calls throw, the exception of the smallest i is thrown
/// after all have ended. `progress` (may be null) is called after every 32 items with the number that are done.
template <class F>
void parallel_for_each(int64_t n, F&& f, const std::function<void(int64_t done)>& progress = nullptr) {
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(n));
  const int64_t group = progress ? 32 : n;
  for (int64_t first = 0; first < n; first += group) {
    const int64_t count = std::min(group, n - first);
    parallel_for(count, 1, [&](int64_t i, int64_t) {
      try {
        f(first + i);
      } catch (...) {
        errors[std::size_t(first + i)] = std::current_exception();
      }
    });
    if (progress) progress(first + count);
  }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

/// The sum of f(begin, end) over the blocks of parallel_for(), added in block order.
template <class T, class F>
T parallel_sum(int64_t n, int64_t block, F&& f) {
  std::vector<T> partial(std::size_t((n + block - 1) / block));
  parallel_for(n, block, [&](int64_t begin, int64_t end) { partial[std::size_t(begin / block)] = f(begin, end); });
  T sum{};
  for (const T& p : partial) sum += p;
  return sum;
}

}  // namespace gt
