// Named ranges around what ops do, for profilers: NVTX in a CUDA build (Nsight shows them), nothing elsewhere.
#pragma once

#if GT_CUDA && !GT_EMULATE
#include <nvtx3/nvToolsExt.h>
#endif

namespace gt {

#if GT_CUDA && !GT_EMULATE
class Range {
 public:
  explicit Range(const char* name) { nvtxRangePushA(name); }
  ~Range() { nvtxRangePop(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};
#else
struct [[maybe_unused]] Range {
  explicit constexpr Range(const char*) {}
};
#endif

}  // namespace gt
