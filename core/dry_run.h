// Dry run: the program runs without doing the work on tensors, to find a training step's memory, operations and
// launches. It needs neither the time nor the memory nor the GPU of the real step.
#pragma once

namespace gt {

extern thread_local constinit bool dry_running;

/// Whether this thread is in a dry run.
inline bool dry_run() { return dry_running; }

/// While one is alive, this thread's kernels, library calls, parallel loops and copies between tensors return at once.
/// Buffers are counted, but are address space without memory and read as zeros. CUDA's back end must be built, but
/// no device is needed. A Profile counts what a real run would, because no count depends on the values of tensors.
class DryRun {
 public:
  DryRun();  ///< throws Error if this thread has one
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;
};

}  // namespace gt
