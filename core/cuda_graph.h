// Device work that is recorded once and replayed by one launch, and uploads of batches that the host need not wait for.
// On the emulated device a replay runs the recorded launches with copies of their arguments, and uploads copy at once.
#pragma once

#include <functional>
#include <memory>

#include "core/tensor.h"

namespace gt {

/// A CUDA graph of the device work of a function. The function must free the memory that it allocates and must not wait
/// for the device. Addresses and host values are those of the recording. Values that change between replays must come
/// from tensors that exist before and after the recording.
class CudaGraph {
 public:
  CudaGraph();
  ~CudaGraph();
  bool recorded() const;
  /// Records without running on the device. Throws Error if there is a recording.
  void record(const std::function<void()>& work);
  void replay();  ///< throws Error if nothing is recorded
  void clear();   ///< forgets the recording

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Copies host tensors into one tensor on the device, through pinned memory and without waiting for the device. The
/// copy takes its turn on the one stream, behind the work that was sent before.
class Upload {
 public:
  explicit Upload(const Tensor& to);  ///< shares `to`, whose elements it overwrites
  ~Upload();
  Upload(Upload&&) noexcept;
  /// Throws Error unless `from` has the shape and type of tensor(). The caller may change `from` as soon as this
  /// returns.
  void operator()(const Tensor& from);
  const Tensor& tensor() const { return to_; }

 private:
  struct State;
  Tensor to_;
  std::unique_ptr<State> state_;
};

}  // namespace gt
