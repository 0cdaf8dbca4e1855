#include "core/tensor.h"

#include <ostream>

#include "core/elementwise.h"

namespace gt {

const char* to_string(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::u8:
      return "u8";
    case DType::i32:
      return "i32";
  }
  return "?";
}

size_t size_of(DType dtype) {
  return visit_any(dtype, []<class T>() { return sizeof(T); });
}

std::ostream& operator<<(std::ostream& out, DType dtype) { return out << to_string(dtype); }

namespace {

/// Bytes of the elements. Throws Error for a negative dimension or more than 2^63 - 1 bytes.
size_t checked_bytes(const Shape& shape, DType dtype) {
  int64_t bytes = int64_t(size_of(dtype));
  for (const int64_t d : shape)
    GT_CHECK(d >= 0 && !__builtin_mul_overflow(bytes, d, &bytes), "shape ", shape,
             " has a negative or too large dimension");
  return size_t(bytes);
}

}  // namespace

Tensor::Tensor(Shape shape, DType dtype, Device device) {
  const size_t bytes = checked_bytes(shape, dtype);
  impl_ = std::make_shared<Impl>(std::move(shape), dtype, device, std::make_shared<Buffer>(bytes, device));
}

Tensor Tensor::zeros(Shape shape, DType dtype, Device device) { return full(std::move(shape), 0, dtype, device); }

Tensor Tensor::full(Shape shape, double value, DType dtype, Device device) {
  Tensor t(std::move(shape), dtype, device);
  fill_elements(t, value);
  return t;
}

const Shape& Tensor::shape() const {
  GT_CHECK(defined(), "the tensor is undefined");
  return impl_->shape;
}

int64_t Tensor::dim(int i) const {
  const int r = rank(), k = i < 0 ? i + r : i;
  GT_CHECK(k >= 0 && k < r, "dimension ", i, " of a tensor of shape ", shape());
  return impl_->shape[size_t(k)];
}

DType Tensor::dtype() const {
  GT_CHECK(defined(), "the tensor is undefined");
  return impl_->dtype;
}

Device Tensor::device() const {
  GT_CHECK(defined(), "the tensor is undefined");
  return impl_->device;
}

void* Tensor::raw() const {
  GT_CHECK(defined(), "the tensor is undefined");
  return impl_->buffer->data();
}

double Tensor::item() const {
  GT_CHECK(size() == 1, "item() of a tensor of shape ", shape());
  const Tensor on_host = to(Device::cpu);
  return visit_any(dtype(), [&]<class T>() { return double(*on_host.data<T>()); });
}

Tensor Tensor::view(Shape shape) const {
  GT_CHECK(checked_bytes(shape, dtype()) == bytes(), "cannot view shape ", this->shape(), " as ", shape);
  Tensor t;
  t.impl_ = std::make_shared<Impl>(std::move(shape), dtype(), device(), impl_->buffer);
  return t;
}

Tensor Tensor::part(size_t offset, Shape shape, DType dtype) const {
  GT_CHECK(defined() && offset % size_of(dtype) == 0, "part of a tensor: expected an offset in elements of ", dtype,
           ", got ", offset, " bytes");
  Tensor t;
  const size_t bytes = checked_bytes(shape, dtype);
  t.impl_ =
      std::make_shared<Impl>(std::move(shape), dtype, device(), std::make_shared<Buffer>(impl_->buffer, offset, bytes));
  return t;
}

Tensor Tensor::detach() const { return view(shape()); }

Tensor Tensor::clone() const {
  Tensor t(shape(), dtype(), device());
  t.copy_from(*this);
  return t;
}

Tensor Tensor::to(Device target) const {
  if (target == device()) return detach();
  Tensor t(shape(), dtype(), target);
  t.copy_from(*this);
  return t;
}

Tensor Tensor::cast(DType to) const {
  Tensor t(shape(), to, device());
  convert_elements(*this, t);
  return t;
}

void Tensor::copy_from(const Tensor& other) {
  GT_CHECK(other.shape() == shape() && other.dtype() == dtype(), "cannot copy ", other.dtype(), other.shape(), " into ",
           dtype(), shape());
  copy_bytes(raw(), device(), other.raw(), other.device(), bytes());
}

bool Tensor::requires_grad() const { return defined() && impl_->requires_grad; }

Tensor& Tensor::set_requires_grad(bool on) {
  GT_CHECK(defined() && impl_->node == nullptr,
           "set_requires_grad: expected a leaf, got the result of an op or an undefined tensor");
  GT_CHECK(!on || (dtype() != DType::u8 && dtype() != DType::i32), "a tensor of ", dtype(), " has no gradient");
  impl_->requires_grad = on;
  return *this;
}

Tensor Tensor::grad() const {
  Tensor g;
  if (defined()) g.impl_ = impl_->grad;
  return g;
}

void Tensor::clear_grad() {
  if (defined()) impl_->grad = nullptr;
}

bool Tensor::same_buffer(const Tensor& other) const {
  return defined() && other.defined() && impl_->buffer == other.impl_->buffer;
}

bool Tensor::sole_owner() const { return impl_.use_count() == 1 && impl_->buffer.use_count() == 1; }

}  // namespace gt
