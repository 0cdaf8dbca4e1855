// Work on the device recorded once and replayed as one launch, and batches on their way to the device. On the CPU and
// on the emulated device both do the plain thing: the work again, a copy.
#pragma once

#include <functional>
#include <memory>

#include "core/tensor.h"

namespace gt {

/// A CUDA graph of what a function puts on the stream. Memory that the function takes it must give back, and it must
/// not wait for the device. Addresses and host values are those of the recording: what changes from one replay to the
/// next must come through tensors that live outside.
class CudaGraph {
 public:
  CudaGraph();
  ~CudaGraph();
  bool recorded() const;
  void record(const std::function<void()>& work);  ///< runs nothing on the device
  void replay();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Copies tensors from the host to one place on the device, through pinned memory, without waiting for the device: the
/// next batch is on its way while the device works on this one.
class Upload {
 public:
  explicit Upload(const Tensor& to);
  ~Upload();
  Upload(Upload&&) noexcept;
  void operator()(const Tensor& from);  ///< `from` may be changed at once; same shape and type
  const Tensor& tensor() const { return to_; }

 private:
  struct State;
  Tensor to_;
  std::unique_ptr<State> state_;
};

}  // namespace gt
