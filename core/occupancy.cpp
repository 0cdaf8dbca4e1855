#include "core/occupancy.h"

#include <algorithm>
#include <limits>

#include "core/check.h"

namespace gt {
namespace {

constexpr int warp_threads = 32;
constexpr int parts = 4;                 // of a multiprocessor, each with a quarter of the registers
constexpr int register_unit = 256;       // registers of a warp come in multiples
constexpr int64_t shared_unit = 128;     // bytes; shared memory of a block comes in multiples
constexpr int64_t shared_system = 1024;  // bytes that the system takes of each block
constexpr int unlimited = std::numeric_limits<int>::max();

int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

MultiprocessorLimits multiprocessor_limits(const std::string& arch) {
  if (arch == "sm_80") return {.shared_bytes = 164 * 1024, .shared_bytes_of_block = 163 * 1024};
  if (arch == "sm_90") return {.shared_bytes = 228 * 1024, .shared_bytes_of_block = 227 * 1024};
  fail("architecture ", arch, ": expected sm_80 or sm_90");
}

int Occupancy::blocks() const { return std::min({by_warps, by_blocks, by_registers, by_shared}); }

std::string Occupancy::limited_by() const {
  std::string all;
  const auto add = [&](int blocks_by, const char* limit) {
    if (blocks_by == blocks()) all += (all.empty() ? "" : " and ") + std::string(limit);
  };
  add(by_warps, "warps");
  add(by_blocks, "blocks");
  add(by_registers, "registers");
  add(by_shared, "shared memory");
  return all;
}

Occupancy occupancy(const BlockResources& block, const MultiprocessorLimits& limits) {
  GT_CHECK(block.threads >= 1 && block.threads <= 1024, "occupancy: a block of ", block.threads, " threads");
  const int warps = int(round_up(block.threads, warp_threads) / warp_threads);
  Occupancy o{.by_warps = limits.warps / warps,
              .by_blocks = limits.blocks,
              .by_registers = unlimited,
              .by_shared = unlimited,
              .warps_of_block = double(warps) / limits.warps};
  if (const int of_warp = int(round_up(int64_t(block.registers) * warp_threads, register_unit)); of_warp > 0) {
    // A part holds whole warps. A launch is refused if the block's warps, in multiples of the parts, exceed a block's
    // registers, which are as many as a multiprocessor's.
    const bool fits = round_up(warps, parts) * of_warp <= limits.registers;
    o.by_registers = fits ? limits.registers / parts / of_warp * parts / warps : 0;
  }
  if (block.shared_bytes > limits.shared_bytes_of_block)
    o.by_shared = 0;
  else
    o.by_shared = int(limits.shared_bytes / round_up(block.shared_bytes + shared_system, shared_unit));
  return o;
}

}  // namespace gt
