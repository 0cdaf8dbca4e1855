// Device work that is recorded once and replayed by one launch. On the emulated device a replay runs the recorded
// launches with copies of their arguments.
#pragma once

#include <functional>
#include <memory>

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

}  // namespace gt
