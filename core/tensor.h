// Tensor: a shape, an element type, a device, a shared buffer and, if recorded, its place in the graph. Tensors are
// contiguous and row major, with the last dimension fastest. Images are (B,H,W,C). There are no strides.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/bf16.h"
#include "core/check.h"
#include "core/device.h"
#include "core/shape.h"

namespace gt {

enum class DType { f32, f64, bf16, u8, i32 };

/// "f32", "f64", "bf16", "u8" or "i32".
const char* to_string(DType dtype);
std::ostream& operator<<(std::ostream& out, DType dtype);

/// Bytes of one element.
size_t size_of(DType dtype);

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else if constexpr (std::is_same_v<T, bf16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return DType::u8;
  else {
    static_assert(std::is_same_v<T, int32_t>);
    return DType::i32;
  }
}

struct Node;
struct Recomputation;
class Tensor;
using Tensors = std::vector<Tensor>;

/// A handle, as std::shared_ptr is one: a copy refers to the same elements, and `const` fixes which elements a handle
/// refers to, not their values. Functions that overwrite a tensor's elements say so where they are declared.
class Tensor {
 public:
  Tensor() = default;  ///< undefined: no shape, no elements
  /// Elements are not initialised. Throws Error for a negative dimension or more than 2^63 - 1 bytes.
  explicit Tensor(Shape shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor zeros(Shape shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor full(Shape shape, double value, DType dtype = DType::f32, Device device = Device::cpu);
  /// A copy of `values`, on the CPU. Throws Error unless their number is the shape's size.
  template <class T>
  static Tensor of(Shape shape, const std::vector<T>& values);

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const;
  int64_t dim(int i) const;  ///< dimension i; a negative i counts from the end
  int rank() const { return shape().rank(); }
  int64_t size() const { return shape().size(); }  ///< number of elements
  DType dtype() const;
  Device device() const;

  /// The elements, on the tensor's device. Throws Error if T is not the element type.
  template <class T>
  T* data() const {
    GT_CHECK(dtype() == dtype_of<T>(), "tensor holds ", dtype(), ", asked for ", dtype_of<T>());
    return static_cast<T*>(raw());
  }
  void* raw() const;
  size_t bytes() const { return size_t(size()) * size_of(dtype()); }
  /// A copy of the elements in host memory. Waits for the tensor's device.
  template <class T>
  std::vector<T> values() const {
    const Tensor on_host = to(Device::cpu);
    return {on_host.data<T>(), on_host.data<T>() + size()};
  }
  /// The value of a tensor of one element. Waits for the tensor's device. Throws Error for another size.
  double item() const;

  /// The same data under another shape of equal size, outside the graph. kernels/ops.h has reshape(), which is
  /// recorded.
  Tensor view(Shape shape) const;
  /// A tensor in the bytes of this one from `offset` on, a multiple of the element's size, outside the graph. Throws
  /// Error unless they hold it.
  Tensor part(size_t offset, Shape shape, DType dtype) const;
  Tensor detach() const;           ///< the same data, outside the graph
  Tensor clone() const;            ///< a copy of the data, outside the graph
  Tensor cast(DType dtype) const;  ///< a copy converted to another element type, outside the graph
  Tensor to(Device device) const;  ///< detach() if the data is on `device`, else a copy there, outside the graph
  /// Overwrites the elements. Throws Error unless shape and type are equal; the devices may differ.
  void copy_from(const Tensor& other);

  // Differentiation: see core/autograd.h.
  bool requires_grad() const;
  /// Throws Error unless this is a leaf of real numbers. Returns *this.
  Tensor& set_requires_grad(bool on = true);
  /// The gradient of a leaf after backward(); undefined before.
  Tensor grad() const;
  void clear_grad();
  bool same_buffer(const Tensor& other) const;
  bool sole_owner() const;  ///< no other tensor shares this data

 private:
  friend struct Autograd;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

struct Tensor::Impl {
  Impl(Shape s, DType t, Device d, std::shared_ptr<Buffer> b)
      : shape(std::move(s)), dtype(t), device(d), buffer(std::move(b)) {}

  Shape shape;
  DType dtype;
  Device device;
  std::shared_ptr<Buffer> buffer;
  bool requires_grad = false;
  std::shared_ptr<Impl> grad;                              // of a leaf
  std::shared_ptr<Node> node;                              // the op that computed it; null for a leaf
  int output = 0;                                          // index among the node's outputs
  std::shared_ptr<Recomputation> recomputation = nullptr;  // see Saved
};

template <class T>
Tensor Tensor::of(Shape shape, const std::vector<T>& values) {
  Tensor t(std::move(shape), dtype_of<T>());
  GT_CHECK(t.size() == int64_t(values.size()), "shape ", t.shape(), " needs ", t.size(), " values, got ",
           values.size());
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

/// The elements of a tensor that an op's body reads or writes, for the arguments of GT_DISPATCH. A Profile counts the
/// tensor's bytes.
template <class T>
T* operand(const Tensor& t) {
  T* const elements = t.data<T>();
  if (current_profile != nullptr) profiling::count_operand(t.raw(), t.bytes());
  return elements;
}

/// operand(), or null for an undefined tensor.
template <class T>
T* operand_or_null(const Tensor& t) {
  return t.defined() ? operand<T>(t) : nullptr;
}

/// Calls f.operator()<T>() with the C++ type of any element type.
template <class F>
decltype(auto) visit_any(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f.template operator()<float>();
    case DType::f64:
      return f.template operator()<double>();
    case DType::bf16:
      return f.template operator()<bf16>();
    case DType::u8:
      return f.template operator()<uint8_t>();
    case DType::i32:
      return f.template operator()<int32_t>();
  }
  fail("unknown element type");
}

/// Calls f.operator()<float>() or <double>(), for a compute dtype. Throws Error for another one.
template <class F>
decltype(auto) visit_float(DType dtype, F&& f) {
  GT_CHECK(dtype == DType::f32 || dtype == DType::f64, "expected f32 or f64, got ", dtype);
  return dtype == DType::f32 ? f.template operator()<float>() : f.template operator()<double>();
}

/// Calls f.operator()<float>(), <double>() or <bf16>(), for an activation dtype. Throws Error for another one.
template <class F>
decltype(auto) visit_activation(DType dtype, F&& f) {
  return dtype == DType::bf16 ? f.template operator()<bf16>() : visit_float(dtype, std::forward<F>(f));
}

}  // namespace gt
