// Small things that op files share.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace gt {

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

/// The tensor outside the graph; undefined if it is.
inline Tensor detached(const Tensor& t) { return t.defined() ? t.detach() : t; }

/// Room for x's gradient, not initialised; undefined unless it is needed.
inline Tensor gradient_of(const Tensor& x, bool needed) {
  return needed ? Tensor(x.shape(), x.dtype(), x.device()) : Tensor{};
}

}  // namespace gt
