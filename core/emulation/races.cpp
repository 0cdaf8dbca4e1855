// The race detector (GRADTRACK_RACES=ON). Kernel files are compiled with -fsanitize=thread but linked without its
// library: the compiler calls the functions of tsan.cpp for every load and store, and these come here. A shadow cell
// for every word, or every byte where a page is used in parts of words, remembers who touched it last.
//
// Two accesses of one place race if they come from two threads of a grid, one of them at least writes, not both are
// atomic, and nothing orders them. What orders: __syncthreads() the threads of a block; a warp operation the lanes of
// its mask; an atomic of a block after one of another block at the same place, what that one did before a
// __threadfence() ahead of it ("the last block adds up"). Launches are ordered. Reading shared memory that the block
// has not written counts as a race too.
//
// Not seen: memcpy() and the like where the compiler calls them, and accesses in functions of the standard library.
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

struct Moment {  // of a thread: `epoch` counts its block's barriers, `clock` its own synchronisations
  uint32_t block = 0, thread = 0, epoch = 0, clock = 0;  // clock 0: never
  bool operator==(const Moment&) const = default;
};

struct Stamp : Moment {
  const void* pc = nullptr;
};

struct Cell {
  Stamp write, read, other_read;  // other_read: the latest by a thread other than read's
  bool atomic = false;            // the write
};

struct Page {
  static constexpr uintptr_t bytes = 4096;
  uintptr_t grain = 4;  // bytes of a cell
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

struct Acquired {  // by a thread of the running block, what another block had done by `released`
  Moment released, by;
};

struct Race {
  const char* what;
  size_t bytes;
  bool shared;
  Stamp now, earlier;
};

thread_local int running = -1;  // the emulated thread that runs on this thread of the host

struct BlockClocks {
  uint32_t block = 0, epoch = 0;
  std::unordered_map<uint32_t, std::vector<Acquired>> acquired;  // per block
  std::array<std::array<uint32_t, 32>, 1024> clocks{};           // what each thread knows of the lanes of its warp
  std::array<Moment, 1024> fences{};                             // the last of each thread

  Moment now(uint32_t me) const { return {block, me, epoch, clocks[me][me % 32]}; }
};

struct Detector {
  std::unordered_map<uintptr_t, Page> pages;
  std::unordered_map<const void*, std::vector<Moment>> released;  // by atomics, per place
  std::map<uint32_t, std::unique_ptr<BlockClocks>> blocks;        // on the device
  std::vector<std::unique_ptr<BlockClocks>> spare;                // their room is large
  BlockClocks* mine = nullptr;                                    // of the block that runs
  std::set<std::pair<const void*, const void*>> seen;
  std::vector<Race> races;

  bool ordered(const Moment& earlier, uint32_t me) const {
    if (earlier.clock == 0) return true;
    if (earlier.block == mine->block)
      return earlier.thread == me || earlier.epoch < mine->epoch ||
             (earlier.thread / 32 == me / 32 && earlier.clock <= mine->clocks[me][earlier.thread % 32]);
    const auto a = mine->acquired.find(earlier.block);
    if (a == mine->acquired.end()) return false;
    return std::any_of(a->second.begin(), a->second.end(), [&](const Acquired& acquired) {
      const auto& [r, by] = acquired;
      return (earlier.epoch < r.epoch || (earlier.thread == r.thread && earlier.clock <= r.clock)) &&
             (by.thread == me || by.epoch < mine->epoch);
    });
  }

  void access(const void* p, size_t bytes, detector::Access kind, uint32_t me, const void* pc) {
    const bool shared = shared_memory().contains(p);
    const Stamp stamp{mine->now(me), pc};
    if (kind == detector::Access::atomic) acquire_and_release(p, me);
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
        if (s->block != mine->block) *s = {};  // that block's memory is gone
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
    std::vector<Acquired>& from = mine->acquired[moment.block];
    const auto known = [&](const Acquired& a) { return a.released == moment && a.by.thread == me; };
    if (std::none_of(from.begin(), from.end(), known)) from.push_back({moment, mine->now(me)});
  }

  void acquire_and_release(const void* p, uint32_t me) {
    if (const auto r = released.find(p); r != released.end())
      for (const Moment& moment : r->second)
        if (moment.block != mine->block) acquire(moment, me);
    const Moment& fence = mine->fences[me];
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

Detector detector_;

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

/// The last folder, the file and the line of each place in this program.
std::unordered_map<const void*, std::string> lines_of(const std::set<const void*>& places) {
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program);
  Dl_info info{};
  if (places.empty() || length < 0 || dladdr(*places.begin(), &info) == 0) return {};
  std::string command = str_cat("addr2line -a -i -e '", std::string(program, size_t(length)), "'");
  for (const void* pc : places)  // a return address: the call is just before it
    command += str_cat(" ", static_cast<const void*>(static_cast<const char*>(pc) - uintptr_t(info.dli_fbase) - 1));
  std::istringstream output(output_of(command + " 2>/dev/null"));
  std::unordered_map<const void*, std::string> lines;
  auto place = places.begin();
  const void* at = nullptr;
  for (std::string line; std::getline(output, line);) {  // an address, then its line and those it is inlined in
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
  for (const Race& r : detector_.races) places.insert({r.now.pc, r.earlier.pc});
  places.erase(nullptr);
  auto lines = lines_of(places);
  const auto show = [&](const Stamp& s) {
    return str_cat("thread ", s.thread, " of block ", s.block, " at ", lines[s.pc].empty() ? "?" : lines[s.pc]);
  };
  std::vector<std::string> out;
  for (const Race& r : detector_.races) {
    out.push_back(
        str_cat(r.what, ": ", r.bytes, " bytes of ", r.shared ? "shared" : "global", " memory, ", show(r.now)));
    if (r.earlier.clock != 0) out.back() += "; earlier " + show(r.earlier);
  }
  return out;
}

void clear_races() {
  detector_.races.clear();
  detector_.seen.clear();
}

// ---- What the emulation tells ---------------------------------------------------------------------------------------

namespace detector {

void begin_grid() {
  detector_.pages.clear();
  detector_.released.clear();
  detector_.blocks.clear();
}

void begin_block(unsigned block, unsigned threads) {
  auto& spare = detector_.spare;
  if (spare.empty()) spare.push_back(std::make_unique<BlockClocks>());
  BlockClocks& b = *(detector_.blocks[block] = std::move(spare.back()));
  spare.pop_back();
  b.block = block;
  b.epoch = 0;
  b.acquired.clear();
  for (unsigned t = 0; t < threads; ++t) {
    b.clocks[t] = {};
    b.clocks[t][t % 32] = 1;
    b.fences[t] = {};
  }
}

void enter_block(unsigned block) { detector_.mine = detector_.blocks.at(block).get(); }

void end_block() {
  const auto ended = detector_.blocks.find(detector_.mine->block);
  detector_.spare.push_back(std::move(ended->second));
  detector_.blocks.erase(ended);
}

void enter(int thread) { running = thread; }

void block_barrier() { ++detector_.mine->epoch; }

void warp_barrier(unsigned warp, unsigned mask) {
  const auto lanes = &detector_.mine->clocks[warp * 32];
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
  const auto me = uint32_t(running);
  BlockClocks& b = *detector_.mine;
  b.fences[me] = b.now(me);
  ++b.clocks[me][me % 32];
}

void access(const void* p, size_t bytes, Access kind, const void* pc) {
  if (running < 0 || stacks().contains(p)) return;
  const int me = std::exchange(running, -1);  // the containers' code may itself be an instrumented copy
  detector_.access(p, bytes, kind, uint32_t(me), pc);
  running = me;
}

}  // namespace detector
}  // namespace gt::emulation
