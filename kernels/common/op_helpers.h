// Helpers that op files share.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace gt {

/// The compute dtype for activations of this dtype: f32 for bf16, otherwise the same. Parameters have it too.
inline DType compute_dtype(DType activations) { return activations == DType::bf16 ? DType::f32 : activations; }

/// The elements; null for an undefined tensor. For workspace; operands of a body come from operand_or_null().
template <class T>
T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

/// operand_or_null() of each tensor.
template <class T>
std::vector<T*> operands_or_null(const Tensors& tensors) {
  std::vector<T*> all;
  for (const Tensor& t : tensors) all.push_back(operand_or_null<T>(t));
  return all;
}

/// The tensor outside the graph; an undefined tensor stays undefined.
inline Tensor detached(const Tensor& t) { return t.defined() ? t.detach() : t; }

/// A tensor for x's gradient, not initialised; undefined unless `needed`.
inline Tensor empty_gradient(const Tensor& x, bool needed) {
  return needed ? Tensor(x.shape(), x.dtype(), x.device()) : Tensor{};
}

}  // namespace gt
