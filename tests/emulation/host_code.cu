#include "tests/emulation/host_code.h"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/launch.cuh"
#include "core/parallel.h"

namespace gt {
namespace {

struct Term {
  virtual ~Term() = default;
  virtual long value(int i) const { return i; }
};
struct Double : Term {
  long value(int i) const override { return 2 * Term::value(i); }
};

__global__ void count(long* counter) {  // counts threads without an atomic, because launches do not overlap
  const int threads = __syncthreads_count(true);
  if (threadIdx.x == 0) *counter += threads;
}

__global__ void nothing(int) {}
__global__ void launches() { launch({1, 1}, nothing, 0); }
__global__ void throws() {
  __syncthreads();
  if (threadIdx.x == 5) fail("thread 5 throws");
  __syncthreads();
}
__global__ void store(int value, int* to) { *to = value; }
__global__ void odd_width() { __shfl_sync(full_mask, 1, 0, 5); }

__global__ void note_order(int* next, int* order) {
  order[atomicAdd(next, 1)] = int(blockIdx.x * blockDim.x + threadIdx.x);
}

}  // namespace

long sum_in_host_code(int n) {
  std::vector<std::shared_ptr<Term>> terms;
  for (int i = 0; i < n; ++i) terms.push_back(i % 2 == 0 ? std::make_shared<Term>() : std::make_shared<Double>());
  std::map<std::string, std::atomic<long>> sums;
  sums["short"];
  const std::function<long(int)> term = [terms](int i) {
    const std::shared_ptr<Term> t = terms[size_t(i)];
    return t->value(i);
  };
  std::atomic<bool> flag = false;
  std::mutex last;
  const long reduced = parallel_sum<long>(n, 1, [&](int64_t i, int64_t) {
    static const std::string key = "short";
    sums.at(key) += term(int(i));
    bool expected = false;
    flag.compare_exchange_strong(expected, true);
    const long value = term(int(i));
    const std::lock_guard lock(last);
    terms[size_t(i)].reset();
    return value;
  });
  return sums.at("short") == reduced && flag ? reduced : -1;
}

long launches_of_host_threads(int threads, int launches) {
  long counter = 0;
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t)
    all.emplace_back([&] {
      for (int i = 0; i < launches; ++i) launch({1, 40}, count, &counter);
    });
  all.emplace_back([] { sum_in_host_code(2000); });
  for (std::thread& t : all) t.join();
  return counter;
}

void launch_in_a_kernel() { launch({1, 1}, launches); }
void barrier_outside_of_a_kernel() { __syncthreads(); }
void throw_in_a_kernel() { launch({3, 64}, throws); }
void store_in_a_kernel(int value, int* to) { launch({1, 1}, store, value, to); }
void shuffle_of_odd_width() { launch({1, 32}, odd_width); }
void argument_out_of_range(long long value) { launch({1, 1}, nothing, value); }

void begin_order(int threads, int* order) {
  int next = 0;
  launch({2, threads}, note_order, &next, order);
}

}  // namespace gt
