// Small things that op files share.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace gt {

/// The compute dtype for activations of this dtype: f32 for bf16, otherwise the same. Parameters have it too.
inline DType compute_dtype(DType activations) { return activations == DType::bf16 ? DType::f32 : activations; }

/// The elements; null for an undefined tensor.
template <class T>
T* pointer(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

template <class T>
std::vector<T*> pointers(const Tensors& tensors) {
  std::vector<T*> p;
  for (const Tensor& t : tensors) p.push_back(pointer<T>(t));
  return p;
}

/// Sum of a[i] b[i] over n elements, on the CPU.
template <class T>
T dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// The tensor outside the graph; undefined if it is.
inline Tensor detached(const Tensor& t) { return t.defined() ? t.detach() : t; }

/// SharedArena for x's gradient, not initialised; undefined unless it is needed.
inline Tensor gradient_of(const Tensor& x, bool needed) {
  return needed ? Tensor(x.shape(), x.dtype(), x.device()) : Tensor{};
}

}  // namespace gt
