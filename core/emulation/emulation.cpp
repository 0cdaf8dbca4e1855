#include "core/emulation/emulation.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <numeric>
#include <random>
#include <utility>

#include "core/check.h"
#include "core/emulation/fiber.h"
#include "core/emulation/races.h"
#include "core/emulation/shared_memory.h"

namespace gt::emulation {
namespace {

constexpr unsigned max_threads = 1024;  // of a block
constexpr size_t stack_bytes = 64 * 1024, guard_bytes = 4096;
constexpr int vote = -1;  // in place of a lane to read

struct Thread : Fiber {
  unsigned id = 0;  // in the block
  uint3 index{};
  bool at_warp = false;  // waits for its warp, not its block,
  Site site;             // here
  uint64_t value = 0;    // what it brings to a warp operation, then what it gets
  int source = 0;        // the lane that it reads, or vote
};

struct Meeting {  // of the lanes of a mask in a warp operation
  unsigned mask, arrived;
  Site site;
};

struct Warp {
  unsigned present = 0;  // lanes that have not returned
  std::vector<Meeting> meetings;
};

thread_local bool in_kernel = false;  // of the host's thread

std::string show(Site site) { return text(site.file, ":", site.line); }
std::string show(dim3 v) { return text("(", v.x, ",", v.y, ",", v.z, ")"); }
bool same(Site a, Site b) { return a.line == b.line && std::strcmp(a.file, b.file) == 0; }

Options options_of_environment() {
  Options options;
  const char* value = std::getenv("GT_EMULATE_ORDER");
  const std::string order = value == nullptr ? "forward" : value, shuffled = "shuffled:";
  const bool has_seed = order.starts_with(shuffled) && order.size() > shuffled.size() &&
                        order.find_first_not_of("0123456789", shuffled.size()) == std::string::npos;
  if (has_seed)
    options = {Order::shuffled, uint32_t(std::stoull(order.substr(shuffled.size())))};
  else if (order == "reverse")
    options.order = Order::reverse;
  else if (order != "forward")
    fail("GT_EMULATE_ORDER=", order, ": expected forward, reverse or shuffled:SEED");
  return options;
}

class Machine {
 public:
  Machine();

  Options options = options_of_environment();
  SharedMemory shared_memory;

  void run(const Grid& grid, void (*thread)(const void*), const void* argument);
  int sync_block(bool predicate, Site site);
  uint64_t sync_warp(unsigned mask, uint64_t value, int source, Site site);
  Thread& self(Site site);
  MemoryRange stacks() const { return {stacks_, stacks_ + max_threads * (stack_bytes + guard_bytes)}; }

 private:
  void begin_grid(const Grid& grid);
  void begin_block(unsigned block);
  void run_block();
  static void live(boost::context::detail::transfer_t from);
  void leave();
  void make_ready(unsigned warp, unsigned lanes);
  void make_all_ready();
  void wait();
  void switch_to(Fiber& fiber);
  void arrived();
  void release_warp(unsigned warp, unsigned mask);
  std::string deadlock() const;

  std::mutex mutex_;
  char* stacks_;

  Grid grid_{};
  void (*thread_)(const void*) = nullptr;
  const void* argument_ = nullptr;
  std::mt19937 random_;

  std::array<Thread, max_threads> threads_;
  std::array<Warp, max_threads / 32> warps_;
  Fiber host_;
  Fiber* running_ = &host_;
  unsigned count_ = 0, alive_ = 0;  // threads of the block
  std::array<uint16_t, max_threads> ready_;
  size_t head_ = 0, tail_ = 0;  // of the ring ready_
  std::exception_ptr error_;

  unsigned at_barrier_ = 0;  // threads that wait for the block,
  Site barrier_;             // here
  int predicates_ = 0, sum_of_predicates_ = 0;
};

Machine& machine() {
  static Machine machine;
  return machine;
}

Machine::Machine()
    : stacks_(static_cast<char*>(mmap(nullptr, max_threads * (stack_bytes + guard_bytes), PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
  if (stacks_ == MAP_FAILED) throw std::bad_alloc();
  for (unsigned i = 0; i < max_threads; ++i) {
    char* const guard = stacks_ + i * (stack_bytes + guard_bytes);
    mprotect(guard, guard_bytes, PROT_NONE);
    threads_[i].id = i;
    threads_[i].stack = guard + guard_bytes;
    threads_[i].stack_bytes = stack_bytes;
  }
}

Thread& Machine::self(Site site) {
  if (!in_kernel) fail("barrier or warp operation outside of a kernel at ", show(site));
  return static_cast<Thread&>(*running_);
}

std::string name(const Thread& thread) { return text("thread ", show(thread.index), " of block ", show(blockIdx)); }

// ---- Running --------------------------------------------------------------------------------------------------------

void Machine::run(const Grid& grid, void (*thread)(const void*), const void* argument) {
  if (in_kernel) fail("launch in a kernel at ", show(grid.launch));
  const std::lock_guard lock(mutex_);
  thread_ = thread;
  argument_ = argument;
  begin_grid(grid);
  const dim3 blocks = grid.blocks;
  std::vector<unsigned> order(size_t(blocks.x) * blocks.y * blocks.z);
  std::iota(order.begin(), order.end(), 0u);
  if (options.order == Order::reverse) std::reverse(order.begin(), order.end());
  if (options.order == Order::shuffled) std::shuffle(order.begin(), order.end(), random_);
  for (const unsigned i : order) {
    blockIdx = {i % blocks.x, i / blocks.x % blocks.y, i / blocks.x / blocks.y};
    begin_block(i);
    run_block();
  }
}

void Machine::begin_grid(const Grid& grid) {
  const dim3 g = grid.blocks, b = grid.threads;
  const uint64_t blocks = uint64_t(g.x) * g.y * g.z, threads = uint64_t(b.x) * b.y * b.z;
  const bool wrong_grid = blocks == 0 || blocks > 0xffffffff || g.x > 0x7fffffff || g.y > 65535 || g.z > 65535;
  const bool wrong_block = b.x > max_threads || b.y > max_threads || b.z > 64 || threads == 0 || threads > max_threads;
  if (wrong_grid || wrong_block)
    fail("launch at ", show(grid.launch), ": invalid configuration, grid ", show(g), ", block ", show(b));
  grid_ = grid;
  gridDim = g;
  blockDim = b;
  count_ = unsigned(threads);
  for (unsigned i = 0; i < count_; ++i) {
    threads_[i].index = {i % b.x, i / b.x % b.y, i / b.x / b.y};
    ASAN_UNPOISON_MEMORY_REGION(threads_[i].stack, stack_bytes);  // an error leaves frames behind
  }
  random_.seed(options.seed);
  detector::begin_grid();
}

void Machine::begin_block(unsigned block) {
  shared_memory.begin_block(grid_.shared_bytes, options.shared_limit, grid_.launch);
  alive_ = count_;
  at_barrier_ = 0;
  predicates_ = 0;
  head_ = tail_ = 0;
  for (unsigned i = 0; i < count_; ++i) threads_[i].prepare(live);
  for (unsigned i = 0; i < count_; i += 32) {
    Warp& warp = warps_[i / 32];
    warp.present = count_ - i >= 32 ? 0xffffffffu : (1u << (count_ - i)) - 1;
    warp.meetings.clear();
  }
  detector::begin_block(block, count_);
  make_all_ready();
}

void Machine::run_block() {
  in_kernel = true;
  wait();  // comes back when no thread is ready
  in_kernel = false;
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  if (alive_ > 0) fail(deadlock());
}

// A thread from its start to its end.
void Machine::live(boost::context::detail::transfer_t from) {
  Machine& m = machine();
  m.running_->arrive(from);
  m.arrived();
  try {
    m.thread_(m.argument_);
    m.leave();
  } catch (...) {
    m.error_ = std::current_exception();
  }
  m.running_->ended = true;
  if (m.error_)
    m.switch_to(m.host_);
  else
    m.wait();
}

void Machine::leave() {
  const Thread& thread = static_cast<Thread&>(*running_);
  const unsigned lane = thread.id % 32;
  Warp& warp = warps_[thread.id / 32];
  if (at_barrier_ > 0) fail(name(thread), " returned, others of its block wait at ", show(barrier_));
  for (const Meeting& m : warp.meetings)
    if (m.mask >> lane & 1) fail(name(thread), " returned, others of its warp wait for it at ", show(m.site));
  warp.present &= ~(1u << lane);
  --alive_;
}

void Machine::make_ready(unsigned warp, unsigned lanes) {
  for (unsigned k = 0; k < 32; ++k) {
    const unsigned lane = options.order == Order::reverse ? 31 - k : k;
    if (lanes >> lane & 1) ready_[tail_++ % max_threads] = uint16_t(warp * 32 + lane);
  }
}

void Machine::make_all_ready() {
  const unsigned warps = (count_ + 31) / 32;
  for (unsigned k = 0; k < warps; ++k) {
    const unsigned warp = options.order == Order::reverse ? warps - 1 - k : k;
    make_ready(warp, warps_[warp].present);
  }
}

// Goes on with the next ready thread, with the host if there is none.
void Machine::wait() {
  if (head_ == tail_) return switch_to(host_);
  uint16_t& next = ready_[head_ % max_threads];
  if (options.order == Order::shuffled) std::swap(next, ready_[(head_ + random_() % (tail_ - head_)) % max_threads]);
  ++head_;
  switch_to(threads_[next]);
}

void Machine::switch_to(Fiber& fiber) {
  if (&fiber == running_) return;
  std::exchange(running_, &fiber)->switch_to(fiber);
  arrived();
}

void Machine::arrived() {
  if (running_ == &host_) return detector::enter(-1);
  const Thread& thread = static_cast<Thread&>(*running_);
  threadIdx = thread.index;
  detector::enter(int(thread.id));
}

std::string Machine::deadlock() const {
  std::string line;
  int shown = 0;
  const Thread* last = nullptr;
  for (const Thread& t : threads_) {
    if (t.id >= count_ || t.ended) continue;
    if (last != nullptr && t.at_warp == last->at_warp && same(t.site, last->site)) continue;
    last = &t;
    if (++shown > 4) break;
    line += text(shown == 1 ? "deadlock: " : "; ", name(t), " waits for its ", t.at_warp ? "warp" : "block", " at ",
                 show(t.site));
  }
  return line;
}

// ---- Barriers and warp operations -----------------------------------------------------------------------------------

int Machine::sync_block(bool predicate, Site site) {
  Thread& thread = self(site);
  if (alive_ < count_) fail(name(thread), " at ", show(site), ": others of its block returned before this barrier");
  if (at_barrier_ > 0 && !same(site, barrier_))
    fail("divergent barrier: ", name(thread), " at ", show(site), ", others of its block at ", show(barrier_));
  barrier_ = site;
  predicates_ += predicate;
  thread.at_warp = false;
  thread.site = site;
  if (++at_barrier_ == alive_) {
    at_barrier_ = 0;
    sum_of_predicates_ = std::exchange(predicates_, 0);
    detector::block_barrier();
    make_all_ready();
  }
  wait();
  return sum_of_predicates_;
}

uint64_t Machine::sync_warp(unsigned mask, uint64_t value, int source, Site site) {
  Thread& thread = self(site);
  const unsigned lane = thread.id % 32;
  Warp& warp = warps_[thread.id / 32];
  const auto wrong = [&](const auto&... what) { fail(name(thread), " at ", show(site), ": ", what...); };
  if (!(mask >> lane & 1)) wrong("the mask lacks the calling lane");
  if (mask & ~warp.present) wrong("the mask names a lane that has returned or never was");
  if (source != vote && !(mask >> source & 1)) wrong("shuffle reads lane ", source, ", outside of its mask");
  auto m = std::find_if(warp.meetings.begin(), warp.meetings.end(), [&](const Meeting& o) { return o.mask == mask; });
  if (m == warp.meetings.end()) m = warp.meetings.insert(m, {mask, 0, site});
  if (!same(m->site, site)) wrong("divergent warp operation, others of its mask at ", show(m->site));
  thread.at_warp = true;
  thread.site = site;
  thread.value = value;
  thread.source = source;
  m->arrived |= 1u << lane;
  if (m->arrived == mask) {
    warp.meetings.erase(m);
    release_warp(thread.id / 32, mask);
  }
  wait();
  return thread.value;
}

void Machine::release_warp(unsigned warp, unsigned mask) {
  Thread* const lanes = &threads_[warp * 32];
  std::array<uint64_t, 32> values;
  uint64_t votes = 0;
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mask >> i & 1)) continue;
    values[i] = lanes[i].value;
    votes |= uint64_t(values[i] != 0) << i;
  }
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1) lanes[i].value = lanes[i].source == vote ? votes : values[unsigned(lanes[i].source)];
  detector::warp_barrier(warp, mask);
  make_ready(warp, mask);
}

}  // namespace

// ---- The headers' functions -----------------------------------------------------------------------------------------

Options& options() { return machine().options; }

void run(const Grid& grid, void (*thread)(const void*), const void* argument) { machine().run(grid, thread, argument); }

int sync_block(bool predicate, Site site) { return machine().sync_block(predicate, site); }

unsigned ballot(unsigned mask, bool predicate, Site site) {
  return unsigned(machine().sync_warp(mask, predicate, vote, site));
}

uint64_t exchange(unsigned mask, uint64_t value, int source, Site site) {
  return machine().sync_warp(mask, value, source, site);
}

int lane_of_segment(int width, Site site) {
  if (width < 1 || width > 32 || (width & (width - 1)) != 0)
    fail("shuffle of width ", width, " at ", show(site), ": expected a power of two up to 32");
  return int(machine().self(site).id % 32);
}

void* shared(const void* key, size_t bytes, size_t alignment) {
  return machine().shared_memory.array(key, bytes, alignment);
}

void* dynamic_shared() { return machine().shared_memory.dynamic(); }

void fence() { detector::fence(); }

MemoryRange stacks() { return machine().stacks(); }

MemoryRange shared_memory() { return machine().shared_memory.range(); }

#if !GT_RACES
bool detects_races() { return false; }
std::vector<std::string> races() { return {}; }
void clear_races() {}
#endif

}  // namespace gt::emulation
