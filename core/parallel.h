// Threads, through OpenMP. Work is cut into blocks that depend on the problem alone, never on the number of threads,
// and partial sums are added in block order: the same bits come out on any machine size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gt {

/// Number of threads that parallel_for uses (OpenMP's default at start).
int num_threads();

/// Sets it; 0 means all processors this process may run on. Throws Error if negative.
void set_num_threads(int count);

/// Calls f(begin, end) for consecutive blocks of `block` items of [0, n), spread over the threads. f must not throw.
template <class F>
void parallel_for(int64_t n, int64_t block, F&& f) {
  const int64_t blocks = (n + block - 1) / block;
#pragma omp parallel for schedule(static) if (blocks > 1)
  for (int64_t i = 0; i < blocks; ++i) f(i * block, i * block + block < n ? i * block + block : n);
}

/// Sum of f(begin, end) over the same blocks, added in block order.
template <class T, class F>
T parallel_sum(int64_t n, int64_t block, F&& f) {
  std::vector<T> partial(std::size_t((n + block - 1) / block));
  parallel_for(n, block, [&](int64_t begin, int64_t end) { partial[std::size_t(begin / block)] = f(begin, end); });
  T sum{};
  for (const T& p : partial) sum += p;
  return sum;
}

}  // namespace gt
