#include "core/emulation/emulation.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <random>
#include <utility>

#include "core/check.h"
#include "core/emulation/fiber.h"
#include "core/emulation/program_file.h"
#include "core/emulation/races.h"
#include "core/emulation/shared_memory.h"
#include "core/kernel_info.h"

namespace gt::emulation {
namespace {

constexpr unsigned max_threads = 1024;  // per block
constexpr size_t stack_bytes = 64 * 1024, guard_bytes = 4096;
constexpr size_t guarded_blocks = 16;   // a process may have 65530 mappings, and each guarded stack takes two
constexpr int vote = -1, barrier = -2;  // as Thread::source: the operation is a vote or __syncwarp()

enum class Wait { nothing, block, warp, other_blocks };

struct Thread : Fiber {
  unsigned id = 0;  // in the block
  uint3 index{};
  Wait waits = Wait::nothing;
  Site site;           // where it waits
  uint64_t value = 0;  // its operand of a warp operation, then the result
  int source = 0;      // the lane that it reads, vote or barrier
};

/// A warp operation that some lanes of its mask have reached.
struct WarpOperation {
  unsigned mask, arrived;
  Site site;
};

struct Warp {
  unsigned present = 0;  // lanes that have not returned
  std::vector<WarpOperation> pending;
};

/// A block that is running or suspended. Blocks are reused, because their stacks are large.
struct Block {
  explicit Block(bool guarded);
  ~Block() { munmap(stacks, stacks_bytes); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  static constexpr size_t stacks_bytes = max_threads * (stack_bytes + guard_bytes);

  /// Prepares the threads for blocks of this grid.
  void prepare(const Grid& grid);

  char* stacks;
  bool guarded;           // whether stacks have a protected page below
  unsigned guards = 0;    // number of stacks that have theirs
  uint64_t prepared = 0;  // the launch that it is prepared for
  SharedMemory shared_memory;
  unsigned number = 0;  // in the grid
  std::array<Thread, max_threads> threads;
  std::array<Warp, max_threads / 32> warps;
  unsigned alive = 0;
  std::array<uint16_t, max_threads> ready;  // a ring buffer of threads that can run, from head to tail
  size_t head = 0, tail = 0;
  std::vector<uint16_t> for_others;  // threads that wait for other blocks

  unsigned at_barrier = 0;  // threads that wait at `barrier`
  Site barrier;
  int predicates = 0;         // true predicates of the threads at the barrier
  int sum_of_predicates = 0;  // of the last complete barrier
};

thread_local bool in_kernel = false;  // whether this host thread runs a kernel

std::string show(Site site) { return str_cat(site.file, ":", site.line); }
std::string show(dim3 v) { return str_cat("(", v.x, ",", v.y, ",", v.z, ")"); }
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

/// The emulated device.
class Machine {
 public:
  Options options = options_of_environment();
  std::exception_ptr late_error;

  void run(const Grid& grid, void (*thread)(const void*), const void* argument);
  int sync_block(bool predicate, Site site);
  uint64_t sync_warp(unsigned mask, uint64_t value, int source, Site site);
  void wait_for_blocks(Site site);
  Thread& current_thread(Site site);
  Block& block() { return *block_; }

 private:
  void begin_grid(const Grid& grid);
  void begin_block(unsigned number);
  bool resume(Block* block);
  static void thread_main(boost::context::detail::transfer_t from);
  void end_thread();
  void make_ready(unsigned warp, unsigned lanes);
  void make_all_ready();
  void run_next();
  void switch_to(Fiber& fiber);
  void after_switch();
  void release_warp(unsigned warp, unsigned mask, bool is_barrier);
  std::string describe_deadlock() const;

  std::mutex mutex_;

  Grid grid_{};
  void (*thread_)(const void*) = nullptr;
  const void* argument_ = nullptr;
  unsigned count_ = 0;  // threads per block
  uint64_t launches_ = 0;
  std::mt19937 random_;
  std::vector<std::unique_ptr<Block>> blocks_;  // all that were ever needed at once
  std::vector<Block*> free_;                    // of blocks_: unused
  std::vector<Block*> waiting_;                 // of blocks_: on the device, in the order of their start
  uint64_t steps_ = 0;                          // counts progress, to detect deadlocks

  Block* block_ = nullptr;  // the running block
  Fiber host_;
  Fiber* running_ = &host_;
  std::exception_ptr error_;
};

Machine& machine() {
  static Machine machine;
  return machine;
}

Block::Block(bool guarded)
    : stacks(static_cast<char*>(
          mmap(nullptr, stacks_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
      guarded(guarded) {
  if (stacks == MAP_FAILED) throw std::bad_alloc();
  for (unsigned i = 0; i < max_threads; ++i) {
    threads[i].id = i;
    threads[i].stack = stacks + i * (stack_bytes + guard_bytes) + guard_bytes;
    threads[i].stack_bytes = stack_bytes;
  }
}

void Block::prepare(const Grid& grid) {
  const dim3 b = grid.threads;
  const unsigned count = b.x * b.y * b.z;
  for (; guarded && guards < count; ++guards)
    mprotect(stacks + guards * (stack_bytes + guard_bytes), guard_bytes, PROT_NONE);
  for (unsigned i = 0; i < count; ++i) {
    threads[i].index = {i % b.x, i / b.x % b.y, i / b.x / b.y};
    ASAN_UNPOISON_MEMORY_REGION(threads[i].stack, stack_bytes);  // frames that an exception left
  }
}

Thread& Machine::current_thread(Site site) {
  if (!in_kernel) fail("barrier or warp operation outside of a kernel at ", show(site));
  return static_cast<Thread&>(*running_);
}

std::string describe(const Thread& thread) {
  return str_cat("thread ", show(thread.index), " of block ", show(blockIdx));
}

// ---- Running --------------------------------------------------------------------------------------------------------

void Machine::run(const Grid& grid, void (*thread)(const void*), const void* argument) {
  if (in_kernel) fail("launch inside a kernel at ", show(grid.launch));
  const std::lock_guard lock(mutex_);
  thread_ = thread;
  argument_ = argument;
  begin_grid(grid);
  const dim3 blocks = grid.blocks;
  std::vector<unsigned> order(size_t(blocks.x) * blocks.y * blocks.z);
  std::iota(order.begin(), order.end(), 0u);
  if (options.order == Order::reverse) std::reverse(order.begin(), order.end());
  if (options.order == Order::shuffled) std::shuffle(order.begin(), order.end(), random_);
  for (auto next = order.begin(); next != order.end() || !waiting_.empty();) {
    const uint64_t before = steps_;
    if (next != order.end() && waiting_.size() < options.blocks_at_once) begin_block(*next++);
    std::erase_if(waiting_, [&](Block* block) { return !resume(block); });
    if (steps_ == before) {  // no thread can make progress
      block_ = waiting_.front();
      fail(describe_deadlock());
    }
  }
}

void Machine::begin_grid(const Grid& grid) {
  const dim3 g = grid.blocks, b = grid.threads;
  const uint64_t blocks = uint64_t(g.x) * g.y * g.z, threads = uint64_t(b.x) * b.y * b.z;
  const bool wrong_grid = blocks == 0 || blocks > 0xffffffff || g.x > 0x7fffffff || g.y > 65535 || g.z > 65535;
  const bool wrong_block = b.x > max_threads || b.y > max_threads || b.z > 64 || threads == 0 || threads > max_threads;
  if (wrong_grid || wrong_block)
    fail("launch at ", show(grid.launch), ": invalid configuration, grid ", show(g), ", block ", show(b));
  if (const unsigned bound = launch_bound(grid.kernel); bound > 0 && threads > bound)
    fail("launch at ", show(grid.launch), ": a block of ", threads, " threads, but __launch_bounds__ of ",
         kernel_name(grid.kernel), " allows ", bound);
  grid_ = grid;
  gridDim = g;
  blockDim = b;
  count_ = unsigned(threads);
  free_.clear();
  waiting_.clear();
  for (const auto& block : blocks_) free_.push_back(block.get());
  ++launches_;
  random_.seed(options.seed);
  detector::begin_grid();
}

void Machine::begin_block(unsigned number) {
  if (free_.empty()) {
    blocks_.push_back(std::make_unique<Block>(blocks_.size() < guarded_blocks));
    free_.push_back(blocks_.back().get());
  }
  Block& b = *free_.back();
  if (std::exchange(b.prepared, launches_) != launches_) b.prepare(grid_);
  b.shared_memory.begin_block(grid_.shared_bytes, options.shared_limit, grid_.launch);
  b.number = number;
  b.alive = count_;
  b.at_barrier = 0;
  b.predicates = 0;
  b.head = b.tail = 0;
  b.for_others.clear();
  for (unsigned i = 0; i < count_; ++i) {
    b.threads[i].prepare(thread_main);
    b.threads[i].waits = Wait::nothing;
  }
  for (unsigned i = 0; i < count_; i += 32) {
    Warp& warp = b.warps[i / 32];
    warp.present = count_ - i >= 32 ? 0xffffffffu : (1u << (count_ - i)) - 1;
    warp.pending.clear();
  }
  detector::begin_block(number, count_);
  block_ = &b;
  make_all_ready();
  free_.pop_back();
  waiting_.push_back(&b);
}

/// Runs a block until its threads have ended or wait for other blocks. Returns whether threads wait.
bool Machine::resume(Block* block) {
  block_ = block;
  for (const uint16_t thread : std::exchange(block->for_others, {})) block->ready[block->tail++ % max_threads] = thread;
  const dim3 blocks = grid_.blocks;
  blockIdx = {block->number % blocks.x, block->number / blocks.x % blocks.y, block->number / blocks.x / blocks.y};
  detector::switch_to_block(block->number);
  in_kernel = true;
  run_next();  // returns when no thread is ready
  in_kernel = false;
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  if (!block->for_others.empty()) return true;
  if (block->alive > 0) fail(describe_deadlock());
  detector::end_block();
  free_.push_back(block);
  return false;
}

/// The entry of every fiber.
void Machine::thread_main(boost::context::detail::transfer_t from) {
  Machine& m = machine();
  m.running_->arrive(from);
  m.after_switch();
  try {
    m.thread_(m.argument_);
    m.end_thread();
  } catch (...) {
    m.error_ = std::current_exception();
  }
  m.running_->ended = true;
  if (m.error_)
    m.switch_to(m.host_);
  else
    m.run_next();
}

void Machine::end_thread() {
  const Thread& thread = static_cast<Thread&>(*running_);
  const unsigned lane = thread.id % 32;
  Warp& warp = block_->warps[thread.id / 32];
  if (block_->at_barrier > 0)
    fail(describe(thread), " returned, but others of its block wait at ", show(block_->barrier));
  for (const WarpOperation& m : warp.pending)
    if (m.mask >> lane & 1) fail(describe(thread), " returned, but others of its warp wait for it at ", show(m.site));
  warp.present &= ~(1u << lane);
  --block_->alive;
  ++steps_;
}

void Machine::make_ready(unsigned warp, unsigned lanes) {
  ++steps_;
  for (unsigned k = 0; k < 32; ++k) {
    const unsigned lane = options.order == Order::reverse ? 31 - k : k;
    if (lanes >> lane & 1) block_->ready[block_->tail++ % max_threads] = uint16_t(warp * 32 + lane);
  }
}

void Machine::make_all_ready() {
  const unsigned warps = (count_ + 31) / 32;
  for (unsigned k = 0; k < warps; ++k) {
    const unsigned warp = options.order == Order::reverse ? warps - 1 - k : k;
    make_ready(warp, block_->warps[warp].present);
  }
}

/// Switches to the next ready thread, or to the host if there is none.
void Machine::run_next() {
  Block& b = *block_;
  if (b.head == b.tail) return switch_to(host_);
  uint16_t& next = b.ready[b.head % max_threads];
  if (options.order == Order::shuffled)
    std::swap(next, b.ready[(b.head + random_() % (b.tail - b.head)) % max_threads]);
  ++b.head;
  switch_to(b.threads[next]);
}

void Machine::switch_to(Fiber& fiber) {
  if (&fiber == running_) return;
  std::exchange(running_, &fiber)->switch_to(fiber);
  after_switch();
}

void Machine::after_switch() {
  if (running_ == &host_) return detector::switch_to_thread(-1);
  const Thread& thread = static_cast<Thread&>(*running_);
  threadIdx = thread.index;
  detector::switch_to_thread(int(thread.id));
}

std::string Machine::describe_deadlock() const {
  std::string line;
  int shown = 0;
  const Thread* last = nullptr;
  for (const Thread& t : block_->threads) {
    if (t.id >= count_ || t.ended) continue;
    if (last != nullptr && t.waits == last->waits && same(t.site, last->site)) continue;
    last = &t;
    if (++shown > 4) break;
    const char* const what = t.waits == Wait::warp           ? "its warp"
                             : t.waits == Wait::other_blocks ? "other blocks"
                                                             : "its block";
    line += str_cat(shown == 1 ? "deadlock: " : "; ", describe(t), " waits for ", what, " at ", show(t.site));
  }
  if (waiting_.size() > 1) line += str_cat("; ", waiting_.size(), " blocks on the device wait");
  return line;
}

// ---- Barriers and warp operations -----------------------------------------------------------------------------------

int Machine::sync_block(bool predicate, Site site) {
  Thread& thread = current_thread(site);
  Block& b = *block_;
  if (b.alive < count_)
    fail(describe(thread), " at ", show(site), ": others of its block returned before this barrier");
  if (b.at_barrier > 0 && !same(site, b.barrier))
    fail("divergent barrier: ", describe(thread), " at ", show(site), ", but others of its block at ", show(b.barrier));
  b.barrier = site;
  b.predicates += predicate;
  thread.waits = Wait::block;
  thread.site = site;
  if (++b.at_barrier == b.alive) {
    b.at_barrier = 0;
    b.sum_of_predicates = std::exchange(b.predicates, 0);
    detector::block_barrier();
    make_all_ready();
  }
  run_next();
  return b.sum_of_predicates;
}

void Machine::wait_for_blocks(Site site) {
  Thread& thread = current_thread(site);
  if (thread.waits != Wait::other_blocks || !same(thread.site, site)) ++steps_;
  thread.waits = Wait::other_blocks;
  thread.site = site;
  block_->for_others.push_back(uint16_t(thread.id));
  run_next();
}

uint64_t Machine::sync_warp(unsigned mask, uint64_t value, int source, Site site) {
  Thread& thread = current_thread(site);
  const unsigned lane = thread.id % 32;
  Warp& warp = block_->warps[thread.id / 32];
  const auto wrong = [&](const auto&... what) { fail(describe(thread), " at ", show(site), ": ", what...); };
  if (!(mask >> lane & 1)) wrong("the mask lacks the calling lane");
  if (mask & ~warp.present) wrong("the mask names a lane that has returned or does not exist");
  if (source >= 0 && !(mask >> source & 1)) wrong("shuffle reads lane ", source, ", outside of its mask");
  auto m =
      std::find_if(warp.pending.begin(), warp.pending.end(), [&](const WarpOperation& o) { return o.mask == mask; });
  if (m == warp.pending.end()) m = warp.pending.insert(m, {mask, 0, site});
  if (!same(m->site, site)) wrong("divergent warp operation, but others of its mask at ", show(m->site));
  thread.waits = Wait::warp;
  thread.site = site;
  thread.value = value;
  thread.source = source;
  m->arrived |= 1u << lane;
  if (m->arrived == mask) {
    warp.pending.erase(m);
    release_warp(thread.id / 32, mask, source == barrier);
  }
  run_next();
  return thread.value;
}

/// Only __syncwarp() orders memory. Votes and shuffles exchange values, but are no barriers to the race detector.
void Machine::release_warp(unsigned warp, unsigned mask, bool is_barrier) {
  Thread* const lanes = &block_->threads[warp * 32];
  std::array<uint64_t, 32> values;
  uint64_t votes = 0;
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mask >> i & 1)) continue;
    values[i] = lanes[i].value;
    votes |= uint64_t(values[i] != 0) << i;
  }
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1) lanes[i].value = lanes[i].source < 0 ? votes : values[unsigned(lanes[i].source)];
  if (is_barrier) detector::warp_barrier(warp, mask);
  make_ready(warp, mask);
}

}  // namespace

// ---- The functions of the headers -----------------------------------------------------------------------------------

Options& options() { return machine().options; }

void run(const Grid& grid, void (*thread)(const void*), const void* argument) {
  try {
    machine().run(grid, thread, argument);
  } catch (...) {
    if (!options().late_errors) throw;
    if (!machine().late_error) machine().late_error = std::current_exception();
  }
}

namespace {

thread_local Graph* recording = nullptr;

}  // namespace

void submit(std::function<void()> work) {
  if (recording == nullptr) return work();
  recording->work.push_back(std::move(work));
}

Recording::Recording(Graph& graph) { recording = &graph; }
Recording::~Recording() { recording = nullptr; }

Graph* recorded_graph() { return recording; }

void require_no_recording(const char* what) {
  if (recording != nullptr) fail(what, " while a CUDA graph is recorded");
}

void throw_late_error() {
  if (machine().late_error) std::rethrow_exception(std::exchange(machine().late_error, nullptr));
}

int sync_block(bool predicate, Site site) { return machine().sync_block(predicate, site); }

void sync_warp(unsigned mask, Site site) { machine().sync_warp(mask, 0, barrier, site); }

unsigned ballot(unsigned mask, bool predicate, Site site) {
  return unsigned(machine().sync_warp(mask, predicate, vote, site));
}

uint64_t exchange(unsigned mask, uint64_t value, int source, Site site) {
  return machine().sync_warp(mask, value, source, site);
}

int shuffle_lane(int width, Site site) {
  if (width < 1 || width > 32 || (width & (width - 1)) != 0)
    fail("shuffle of width ", width, " at ", show(site), ": expected a power of two up to 32");
  return int(machine().current_thread(site).id % 32);
}

void* shared(const void* key, size_t bytes, size_t alignment) {
  return machine().block().shared_memory.array(key, bytes, alignment);
}

void* dynamic_shared() { return machine().block().shared_memory.dynamic(); }

void trap(Site site) { fail(describe(machine().current_thread(site)), " called __trap() at ", show(site)); }

void wait_for_blocks(Site site) { machine().wait_for_blocks(site); }

void fence() { detector::fence(); }

MemoryRange stacks() { return {machine().block().stacks, machine().block().stacks + Block::stacks_bytes}; }

MemoryRange shared_memory() { return machine().block().shared_memory.range(); }

#if !GT_RACES
bool detects_races() { return false; }
std::vector<std::string> races() { return {}; }
void clear_races() {}
#endif

}  // namespace gt::emulation
