// NCCL: sums of CUDA tensors over the processes, each with another GPU. GT_NCCL is 1 in builds that have it.
#pragma once

#if GT_NCCL

#include <memory>
#include <string>

#include "core/tensor.h"

namespace gt {

/// A communicator of NCCL on this process's device, and a second stream for sums.
class NcclGroup {
 public:
  static std::string version();

  /// What identifies this process's GPU.
  static std::string gpu();

  /// What rank 0 makes, and all processes pass to the constructor.
  static std::string new_id();

  /// All processes must make theirs at once. Throws Error with NCCL's reason.
  NcclGroup(const std::string& id, int rank, int size);
  ~NcclGroup();
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  /// x (f32 or bf16) = its sum over the processes, on the project's stream.
  void sum(const Tensor& x);
  /// As sum(), on the other stream, behind the work that the project's stream has now.
  void start_sum(const Tensor& x);
  /// Work that the project's stream gets from now on waits for all started sums.
  void finish_sums();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gt

#endif
