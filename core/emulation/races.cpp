// The race detector (GRADTRACK_RACES=ON). Kernel files are compiled with -fsanitize=thread but linked without its
// library. The compiler then calls the functions of tsan.cpp for every load and store, and these call access() here.
// Every word of memory has a shadow cell with its latest accesses. A page that is accessed in parts of words has a cell
// for every byte.
//
// Two accesses of one address race if two threads of a grid make them, at least one of them writes, not both are
// atomic, and nothing orders them. These order accesses:
//   - __syncthreads(), for the threads of a block;
//   - __syncwarp(), for the lanes of its mask; shuffles and votes order nothing;
//   - atomics of two blocks at one address, if the first block called __threadfence() before its atomic and the second
//     one after its own: the first block's accesses before its fence precede those of the second block after its fence
//     (as when the last block sums partial results);
//   - launches.
// A read of shared memory that the block has not written is reported too.
//
// Not detected: races in memcpy() and similar calls that the compiler emits, and in functions of the standard library.
#include "core/emulation/races.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/emulation/emulation.h"

namespace gt::emulation {
namespace {

/// A time in the life of a thread.
struct Moment {
  uint32_t block = 0, thread = 0;
  uint32_t epoch = 0;  // barriers that its block has passed
  uint32_t clock = 0;  // synchronisations of the thread, from 1; 0 stands for no moment
  bool operator==(const Moment&) const = default;
};

/// An access: when and at which instruction.
struct Stamp : Moment {
  const void* pc = nullptr;
};

struct Cell {
  Stamp write, read;    // the latest ones
  Stamp other_read;     // the latest by another thread than `read`
  bool atomic = false;  // whether `write` was atomic
};

struct Page {
  static constexpr uintptr_t bytes = 4096;
  uintptr_t grain = 4;  // bytes of memory per cell
  std::vector<Cell> cells = std::vector<Cell>(bytes / 4);

  Cell& at(uintptr_t address) { return cells[address % bytes / grain]; }

  void split() {
    if (grain == 1) return;
    std::vector<Cell> fine(bytes);
    for (size_t i = 0; i < bytes; ++i) fine[i] = cells[i / grain];
    cells = std::move(fine);
    grain = 1;
  }
};

/// The thread and time `by` follows all that another block did before `released`.
struct Acquired {
  Moment released, by;
};

struct Race {
  const char* what;
  size_t bytes;
  bool shared;
  Stamp now, earlier;
};

thread_local int running = -1;  // the emulated thread that runs on this host thread; -1 is none

struct BlockClocks {
  uint32_t block = 0, epoch = 0;
  std::unordered_map<uint32_t, std::vector<Acquired>> acquired;  // by the other block
  std::array<std::array<uint32_t, 32>, 1024> clocks{};     // per thread: the clock it has seen of each lane of its warp
  std::array<Moment, 1024> fences{};                       // the last __threadfence() of each thread
  std::array<std::map<const void*, size_t>, 1024> seen{};  // per thread: how many of the moments released at an
                                                           // address its atomics have seen since that fence

  Moment now(uint32_t me) const { return {block, me, epoch, clocks[me][me % 32]}; }
};

struct Detector {
  std::unordered_map<uintptr_t, Page> pages;
  std::unordered_map<const void*, std::vector<Moment>> released;  // by atomics, per address
  std::map<uint32_t, std::unique_ptr<BlockClocks>> blocks;        // those that are running or suspended
  std::vector<std::unique_ptr<BlockClocks>> spare;                // reused, because they are large
  BlockClocks* current = nullptr;                                 // of the running block
  std::set<std::pair<const void*, const void*>> seen;
  std::vector<Race> races;

  bool ordered(const Moment& earlier, uint32_t me) const {
    if (earlier.clock == 0) return true;
    if (earlier.block == current->block)
      return earlier.thread == me || earlier.epoch < current->epoch ||
             (earlier.thread / 32 == me / 32 && earlier.clock <= current->clocks[me][earlier.thread % 32]);
    const auto a = current->acquired.find(earlier.block);
    if (a == current->acquired.end()) return false;
    return std::any_of(a->second.begin(), a->second.end(), [&](const Acquired& acquired) {
      const auto& [r, by] = acquired;
      return (earlier.epoch < r.epoch || (earlier.thread == r.thread && earlier.clock <= r.clock)) &&
             (by.thread == me || by.epoch < current->epoch);
    });
  }

  void access(const void* p, size_t bytes, detector::Access kind, uint32_t me, const void* pc) {
    const bool shared = shared_memory().contains(p);
    const Stamp stamp{current->now(me), pc};
    if (kind == detector::Access::atomic) see_and_release(p, me);
    const auto begin = reinterpret_cast<uintptr_t>(p);
    for (uintptr_t address = begin; address < begin + bytes;) {
      Page& page = pages[address / Page::bytes];
      if ((begin | bytes) % 4 != 0) page.split();
      check(page.at(address), kind, stamp, {"", bytes, shared, stamp, {}});
      address += page.grain;
    }
  }

  void check(Cell& c, detector::Access kind, const Stamp& stamp, Race race) {
    const bool reads = kind == detector::Access::read, atomic = kind == detector::Access::atomic;
    if (race.shared) {
      for (Stamp* s : {&c.write, &c.read, &c.other_read})
        if (s->block != current->block) *s = {};  // from the shared memory of an earlier block
      if (c.write.clock == 0 && kind != detector::Access::write)
        report(race, "read of shared memory that the block has not written", {});
    }
    if (!ordered(c.write, stamp.thread) && !(atomic && c.atomic))
      report(race, reads ? "read after unordered write" : "write after unordered write", c.write);
    if (reads) {
      if (c.read.thread != stamp.thread || c.read.block != stamp.block) c.other_read = c.read;
      c.read = stamp;
      return;
    }
    for (const Stamp* s : {&c.read, &c.other_read})
      if (!ordered(*s, stamp.thread)) report(race, "write after unordered read", *s);
    c.write = stamp;
    c.atomic = atomic;
  }

  void acquire(const Moment& moment, uint32_t me) {
    std::vector<Acquired>& from = current->acquired[moment.block];
    const auto known = [&](const Acquired& a) { return a.released == moment && a.by.thread == me; };
    if (std::none_of(from.begin(), from.end(), known)) from.push_back({moment, current->now(me)});
  }

  void fence(uint32_t me) {
    for (const auto& [p, count] : std::exchange(current->seen[me], {}))
      for (size_t i = 0; i < count; ++i)
        if (const Moment& moment = released[p][i]; moment.block != current->block) acquire(moment, me);
    current->fences[me] = current->now(me);
    ++current->clocks[me][me % 32];
  }

  /// An atomic releases what precedes the thread's last fence. What it sees is acquired at the thread's next fence.
  void see_and_release(const void* p, uint32_t me) {
    if (const auto r = released.find(p); r != released.end()) current->seen[me][p] = r->second.size();
    const Moment& fence = current->fences[me];
    if (fence.clock == 0) return;
    std::vector<Moment>& moments = released[p];
    if (moments.empty() || moments.back() != fence) moments.push_back(fence);
  }

  void report(Race race, const char* what, const Stamp& earlier) {
    if (!seen.insert({race.now.pc, earlier.pc}).second) return;
    race.what = what;
    race.earlier = earlier;
    races.push_back(race);
  }
};

Detector global_detector;

// ---- Lines of the source --------------------------------------------------------------------------------------------

std::string output_of(const std::string& command) {
  std::string out;
  char part[4096];
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  while (fgets(part, sizeof part, pipe) != nullptr) out += part;
  pclose(pipe);
  return out;
}

/// The innermost folder, the file and the line of each address of this program's code.
std::unordered_map<const void*, std::string> lines_of(const std::set<const void*>& places) {
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program);
  Dl_info info{};
  if (places.empty() || length < 0 || dladdr(*places.begin(), &info) == 0) return {};
  std::string command = str_cat("addr2line -a -i -e '", std::string(program, size_t(length)), "'");
  for (const void* pc : places)  // a return address, which follows the call
    command += str_cat(" ", static_cast<const void*>(static_cast<const char*>(pc) - uintptr_t(info.dli_fbase) - 1));
  std::istringstream output(output_of(command + " 2>/dev/null"));
  std::unordered_map<const void*, std::string> lines;
  auto place = places.begin();
  const void* at = nullptr;
  for (std::string line; std::getline(output, line);) {  // an address, then its line and the lines it is inlined into
    if (line.starts_with("0x")) {
      at = place == places.end() ? nullptr : *place++;
      continue;
    }
    if (lines.contains(at) || line.find("core/emulation/") != std::string::npos) continue;
    line.erase(std::min(line.find(" ("), line.size()));  // " (discriminator 1)"
    const size_t file = line.rfind('/'), folder = file == 0 ? file : line.rfind('/', file - 1);
    lines[at] = folder == std::string::npos ? line : line.substr(folder + 1);
  }
  return lines;
}

}  // namespace

bool detects_races() { return true; }

std::vector<std::string> races() {
  std::set<const void*> places;
  for (const Race& r : global_detector.races) places.insert({r.now.pc, r.earlier.pc});
  places.erase(nullptr);
  auto lines = lines_of(places);
  const auto show = [&](const Stamp& s) {
    return str_cat("thread ", s.thread, " of block ", s.block, " at ", lines[s.pc].empty() ? "?" : lines[s.pc]);
  };
  std::vector<std::string> out;
  for (const Race& r : global_detector.races) {
    out.push_back(
        str_cat(r.what, ": ", r.bytes, " bytes of ", r.shared ? "shared" : "global", " memory, ", show(r.now)));
    if (r.earlier.clock != 0) out.back() += "; earlier " + show(r.earlier);
  }
  return out;
}

void clear_races() {
  global_detector.races.clear();
  global_detector.seen.clear();
}

// ---- Events from the emulation --------------------------------------------------------------------------------------

namespace detector {

void begin_grid() {
  global_detector.pages.clear();
  global_detector.released.clear();
  global_detector.blocks.clear();
}

void begin_block(unsigned block, unsigned threads) {
  auto& spare = global_detector.spare;
  if (spare.empty()) spare.push_back(std::make_unique<BlockClocks>());
  BlockClocks& b = *(global_detector.blocks[block] = std::move(spare.back()));
  spare.pop_back();
  b.block = block;
  b.epoch = 0;
  b.acquired.clear();
  for (unsigned t = 0; t < threads; ++t) {
    b.clocks[t] = {};
    b.clocks[t][t % 32] = 1;
    b.fences[t] = {};
    b.seen[t].clear();
  }
}

void switch_to_block(unsigned block) { global_detector.current = global_detector.blocks.at(block).get(); }

void end_block() {
  const auto ended = global_detector.blocks.find(global_detector.current->block);
  global_detector.spare.push_back(std::move(ended->second));
  global_detector.blocks.erase(ended);
}

void switch_to_thread(int thread) { running = thread; }

void block_barrier() { ++global_detector.current->epoch; }

void warp_barrier(unsigned warp, unsigned mask) {
  const auto lanes = &global_detector.current->clocks[warp * 32];
  std::array<uint32_t, 32> joint{};
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1)
      for (unsigned k = 0; k < 32; ++k) joint[k] = std::max(joint[k], lanes[i][k]);
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mask >> i & 1)) continue;
    lanes[i] = joint;
    ++lanes[i][i];
  }
}

void fence() {
  const int me = std::exchange(running, -1);
  global_detector.fence(uint32_t(me));
  running = me;
}

void access(const void* p, size_t bytes, Access kind, const void* pc) {
  if (running < 0 || stacks().contains(p)) return;
  const int me = std::exchange(running, -1);  // the containers' code may be instrumented and call access()
  global_detector.access(p, bytes, kind, uint32_t(me), pc);
  running = me;
}

}  // namespace detector
}  // namespace gt::emulation
