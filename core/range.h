// Named ranges around what ops do, for profilers: NVTX in a CUDA build (Nsight shows them), nothing elsewhere.
#pragma once

#if GT_CUDA && !GT_EMULATE
#include <nvtx3/nvToolsExt.h>
#endif

namespace gt {

#if GT_CUDA && !GT_EMULATE
class NamedRange {
 public:
  explicit NamedRange(const char* name) { nvtxRangePushA(name); }
  ~NamedRange() { nvtxRangePop(); }
  NamedRange(const NamedRange&) = delete;
  NamedRange& operator=(const NamedRange&) = delete;
};
#else
struct [[maybe_unused]] NamedRange {
  explicit constexpr NamedRange(const char*) {}
};
#endif

}  // namespace gt
