// Copies from host tensors to tensors on the device that the host need not wait for. On the emulated device they take
// place at once.
#pragma once

#include <array>
#include <memory>

#include "core/tensor.h"

namespace gt {

/// Copies host tensors into one tensor on the device, through pinned memory. The copy takes its turn on the one stream,
/// behind the work that was sent before.
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

/// Copies several host tensors to the device in one piece. On CUDA it travels on a stream of its own while the device
/// still works on what was sent before. A copy within the device, which takes its turn on the one stream, then brings
/// it to its place.
class PackedUpload {
 public:
  /// For tensors on `device` with the shapes and types of `like`.
  PackedUpload(const Tensors& like, Device device);
  ~PackedUpload();
  PackedUpload(PackedUpload&&) noexcept;
  /// Throws Error unless `from` has the shapes and types of tensors(). The caller may change `from` as soon as this
  /// returns.
  void operator()(const Tensors& from);
  /// The tensors that calls overwrite. They are parts of one buffer, each from a multiple of 256 bytes on.
  const Tensors& tensors() const { return tensors_; }

 private:
  struct State;
  Tensor all_;                     // u8, the buffer of tensors_
  std::array<Tensor, 2> staging_;  // on the device; one is filled while the other waits for its copy to all_
  Tensors tensors_;
  size_t calls_ = 0;
  std::unique_ptr<State> state_;
};

}  // namespace gt
