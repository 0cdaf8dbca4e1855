#include "core/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/check.h"

namespace gt {
namespace {

using Clock = std::chrono::steady_clock;

thread_local int own_index = 0;
thread_local bool in_blocks = false;  // this thread runs blocks of a shared loop

/// Lets the other hyperthread, or the memory system, get on.
void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Spins for a few microseconds until `done` returns true. Returns whether it did.
template <class F>
bool spin_until(std::chrono::microseconds limit, F&& done) {
  const auto end = Clock::now() + limit;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      pause();
    }
  } while (Clock::now() < end);
  return done();
}

// A worker looks for the next loop for a while, since a training step has hundreds of loops and waking a thread takes
// as long as a small one. A step's serial parts are shorter. The caller waits shortly for the last blocks.
constexpr std::chrono::microseconds worker_spin{200}, caller_spin{50};

// A caller that waits longer than four blocks take, and longer than `stall`, waits for a thread that has lost its core
// to another program. It then works alone for `alone` times as long as it waited, so that stalls cost an eighth at
// most.
constexpr std::chrono::microseconds stall{100};
constexpr int alone = 8;

/// The blocks of a loop that one thread takes first. The others take what it leaves.
struct alignas(64) Share {
  std::atomic<int64_t> next = 0;
  int64_t end = 0;
};

/// A loop whose blocks several threads share. Threads may join while it is open.
///
/// state_ is (number of the loop) << 16 | open << 15 | workers inside, so a thread that joins late sees that the loop
/// has ended, and a loop ends when it is closed and the workers inside have left. The caller runs every block that
/// nobody has taken, so it never waits for a worker that has not begun.
class Pool {
 public:
  explicit Pool(int workers) : shares_(new Share[size_t(workers) + 1]), threads_(workers + 1) {
    for (int i = 1; i <= workers; ++i) workers_.emplace_back([this, i] { work(i); });
  }

  ~Pool() {
    stop_ = true;
    state_ += uint32_t(1) << 16;
    state_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  /// Runs all blocks. Returns false, having done nothing, if another thread's loop is running or the caller had better
  /// work alone.
  bool run(int64_t blocks, BlockFunction call, void* context) {
    const std::unique_lock owner(busy_, std::try_to_lock);
    if (!owner) return false;
    const Clock::time_point start = Clock::now();
    if (start < alone_until_) return false;
    call_ = call;
    context_ = context;
    for (int i = 0; i < threads_; ++i) {
      shares_[size_t(i)].next.store(blocks * i / threads_, std::memory_order_relaxed);
      shares_[size_t(i)].end = blocks * (i + 1) / threads_;
    }
    const uint32_t number = (state_.load(std::memory_order_relaxed) >> 16) + 1;
    state_.store(number << 16 | open_bit);  // seq_cst, as sleeping_: either this thread or the sleeper sees the other
    if (sleeping_.load() > 0) state_.notify_all();
    const int64_t own = run_blocks(0);
    state_.fetch_and(~open_bit);
    const auto all_left = [&] { return (state_.load(std::memory_order_acquire) & inside_mask) == 0; };
    if (all_left()) return true;
    const Clock::time_point done = Clock::now();
    if (!spin_until(caller_spin, all_left))
      for (uint32_t now; ((now = state_.load(std::memory_order_acquire)) & inside_mask) != 0;) state_.wait(now);
    const Clock::time_point end = Clock::now();
    if (end - done > stall + 4 * (done - start) / std::max<int64_t>(1, own)) alone_until_ = end + alone * (end - done);
    return true;
  }

 private:
  static constexpr uint32_t open_bit = 1u << 15, inside_mask = open_bit - 1;

  /// Runs the blocks of a thread's own share, then those that are left of the others'. Returns their number.
  int64_t run_blocks(int index) {
    int64_t count = 0;
    in_blocks = true;
    for (int k = 0; k < threads_; ++k) {
      Share& share = shares_[size_t((index + k) % threads_)];
      while (share.next.load(std::memory_order_relaxed) < share.end) {
        const int64_t block = share.next.fetch_add(1, std::memory_order_relaxed);
        if (block < share.end) call_(context_, block), ++count;
      }
    }
    in_blocks = false;
    return count;
  }

  void work(int index) {
    own_index = index;
    for (uint32_t last = 0; !stop_;) {
      uint32_t now = state_.load(std::memory_order_acquire);
      if (now >> 16 == last >> 16 || (now & open_bit) == 0) {
        wait_for_change(now);
      } else if (state_.compare_exchange_strong(now, now + 1)) {
        last = now;
        run_blocks(index);
        if ((state_.fetch_sub(1) & ~(~0u << 16)) == 1) state_.notify_all();  // the last to leave a closed loop
      }
    }
  }

  /// Returns when another loop may be open, or the pool stops.
  void wait_for_change(uint32_t last) {
    const auto changed = [&](uint32_t now) { return stop_ || (now ^ last) >> 15 != 0; };
    if (spin_until(worker_spin, [&] { return changed(state_.load(std::memory_order_relaxed)); })) return;
    ++sleeping_;
    for (uint32_t now; !changed(now = state_.load());) state_.wait(now);
    --sleeping_;
  }

  std::mutex busy_;                // held by the thread whose loop runs
  Clock::time_point alone_until_;  // before it, callers work alone
  BlockFunction call_ = nullptr;
  void* context_ = nullptr;
  std::unique_ptr<Share[]> shares_;
  const int threads_;
  std::atomic<uint32_t> state_ = 0;
  std::atomic<int> sleeping_ = 0;
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> workers_;
};

int processors() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set))
                                                     : int(std::max(1u, std::thread::hardware_concurrency()));
}

/// OMP_NUM_THREADS, which schedulers of clusters set, or all processors.
int default_threads() {
  const char* const variable = std::getenv("OMP_NUM_THREADS");
  const int count = variable != nullptr ? std::atoi(variable) : 0;
  return count > 0 ? count : processors();
}

std::mutex change;                     // of the two below
int thread_count = default_threads();  // of loops
std::shared_ptr<Pool> pool;            // of thread_count threads with the caller; null before the first loop

std::shared_ptr<Pool> current_pool() {
  const std::lock_guard lock(change);
  if (!pool && thread_count > 1) pool = std::make_shared<Pool>(thread_count - 1);
  return pool;
}

}  // namespace

int num_threads() {
  const std::lock_guard lock(change);
  return thread_count;
}

void set_num_threads(int count) {
  if (count < 0) fail("threads: expected 0 (all) or more, got ", count);
  const std::lock_guard lock(change);
  const int wanted = count == 0 ? processors() : count;
  if (wanted == thread_count) return;
  thread_count = wanted;
  pool.reset();
}

int thread_index() { return own_index; }

void run_blocks(int64_t blocks, BlockFunction call, void* context) {
  if (blocks > 1 && !in_blocks)
    if (const std::shared_ptr<Pool> shared = current_pool(); shared && shared->run(blocks, call, context)) return;
  for (int64_t i = 0; i < blocks; ++i) call(context, i);
}

}  // namespace gt
