// A program that goes through all its motions and does none of the work: for asking how much memory and how many
// kernels a training step takes, without the time, the memory or the GPU that it takes.
#pragma once

namespace gt {

extern thread_local constinit bool dry_running;

/// Whether this thread's work is only gone through.
inline bool dry_run() { return dry_running; }

/// While one is alive, what this thread starts is not done: kernels, calls of libraries, parallel loops and copies
/// between tensors return at once. Buffers are counted but are address space alone: they read as zeros. CUDA's device
/// need not be there, only its back end in the program. What a Profile counts meanwhile (bytes, operations, launches,
/// memory) is what the program does without it, since nothing in it depends on the values of tensors.
class DryRun {
 public:
  DryRun();  ///< throws Error if this thread has one
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;
};

}  // namespace gt
