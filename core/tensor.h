// Tensor: shape, element type, device, a shared buffer, and (when recorded) its place in the graph. Contiguous, row
// major, the last dimension fastest; images are NHWC. No strides, no laziness. Copying a Tensor copies the handle.
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

namespace gt {

enum class DType { f32, f64, bf16, u8, i32 };

const char* name(DType dtype);
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

struct Shape : std::vector<int64_t> {
  using std::vector<int64_t>::vector;
  int64_t size() const;  ///< number of elements (1 for a scalar's empty shape)
  int rank() const { return int(std::vector<int64_t>::size()); }
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);  // (8,128,128,3)
std::ostream& operator<<(std::ostream& out, DType dtype);
std::ostream& operator<<(std::ostream& out, Device device);

struct Node;
class Tensor;
using Tensors = std::vector<Tensor>;

class Tensor {
 public:
  Tensor() = default;  ///< undefined
  /// Not initialised.
  explicit Tensor(Shape shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor zeros(Shape shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor full(Shape shape, double value, DType dtype = DType::f32, Device device = Device::cpu);
  /// A copy of `values`, on the CPU. Throws Error unless there are as many as the shape says.
  template <class T>
  static Tensor of(Shape shape, const std::vector<T>& values);

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const;
  int64_t dim(int i) const;  ///< negative counts from the end
  int rank() const { return shape().rank(); }
  int64_t size() const { return shape().size(); }
  DType dtype() const;
  Device device() const;

  /// The elements. The handle's constness is not the data's. Throws Error if T is not the element type.
  template <class T>
  T* data() const {
    GT_CHECK(dtype() == dtype_of<T>(), "tensor holds ", dtype(), ", asked for ", dtype_of<T>());
    return static_cast<T*>(raw());
  }
  void* raw() const;
  size_t bytes() const { return size_t(size()) * size_of(dtype()); }
  /// A copy of the elements, fetched from the device (which is waited for).
  template <class T>
  std::vector<T> values() const {
    const Tensor here = to(Device::cpu);
    return {here.data<T>(), here.data<T>() + size()};
  }
  double item() const;  ///< the value of a tensor of one element, fetched from the device

  /// The same data under another shape of the same size, outside the graph (ops.h has reshape()).
  Tensor view(Shape shape) const;
  Tensor detach() const;                      ///< the same data, outside the graph
  Tensor clone() const;                       ///< a copy of the data, outside the graph
  Tensor cast(DType dtype) const;             ///< a copy converted to another element type, outside the graph
  Tensor to(Device device) const;             ///< the data on that device, a copy if it is elsewhere, outside the graph
  void copy_from(const Tensor& other) const;  ///< overwrites the data; same shape and type, any device

  // Autograd, see core/autograd.h.
  bool requires_grad() const;
  Tensor& set_requires_grad(bool on = true);
  /// Gradient of a leaf after backward(); undefined before.
  Tensor grad() const;
  void clear_grad() const;
  bool same_buffer(const Tensor& other) const;
  bool sole_owner() const;  ///< nobody else holds this data

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
  std::shared_ptr<Impl> grad;  // of a leaf
  std::shared_ptr<Node> node;  // that made it
  int output = 0;              // which of the node's outputs it is
};

template <class T>
Tensor Tensor::of(Shape shape, const std::vector<T>& values) {
  Tensor t(std::move(shape), dtype_of<T>());
  GT_CHECK(t.size() == int64_t(values.size()), "shape ", t.shape(), " needs ", t.size(), " values, got ",
           values.size());
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

/// The elements of a tensor that an op's body is given, for the arguments of GT_DISPATCH: a Profile counts their bytes.
template <class T>
T* operand(const Tensor& t) {
  T* const elements = t.data<T>();
  if (current_profile != nullptr) count_operand(t.bytes());
  return elements;
}

/// operand(), or null for an undefined tensor.
template <class T>
T* operand_or_null(const Tensor& t) {
  return t.defined() ? operand<T>(t) : nullptr;
}

/// Calls f.operator()<T>() for the element type, any of them.
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

/// Calls f.operator()<float>() or <double>(): where kernels choose the type that they compute in.
template <class F>
decltype(auto) visit_float(DType dtype, F&& f) {
  GT_CHECK(dtype == DType::f32 || dtype == DType::f64, "expected f32 or f64, got ", dtype);
  return dtype == DType::f32 ? f.template operator()<float>() : f.template operator()<double>();
}

/// The same with <bf16> beside them: where kernels choose the type that activations are stored in.
template <class F>
decltype(auto) visit_activation(DType dtype, F&& f) {
  return dtype == DType::bf16 ? f.template operator()<bf16>() : visit_float(dtype, std::forward<F>(f));
}

}  // namespace gt
