// An array that kernels and the host can access.
#pragma once

#include <cstddef>
#include <vector>

#include "core/check.h"
#include "core/cuda.h"

namespace gt {

template <class T>
class Managed {
 public:
  explicit Managed(size_t size, T value = T{}) : size_(size) {
#if GT_EMULATE
    data_ = new T[size];  // of exact size, so that AddressSanitizer detects accesses beyond its ends
#else
    check_cuda(cudaMallocManaged(&data_, size * sizeof(T)), "cudaMallocManaged");
#endif
    for (size_t i = 0; i < size; ++i) data_[i] = value;
  }
  ~Managed() {
#if GT_EMULATE
    delete[] data_;
#else
    cudaFree(data_);
#endif
  }
  Managed(const Managed&) = delete;
  Managed& operator=(const Managed&) = delete;

  T* data() { return data_; }

  /// The values after all launches so far.
  std::vector<T> values() const {
#if !GT_EMULATE
    check_cuda(cudaStreamSynchronize(cuda_stream()), "cudaStreamSynchronize");
#endif
    return {data_, data_ + size_};
  }

 private:
  T* data_ = nullptr;
  size_t size_;
};

/// Describes the first value that differs from expected(i); "" if none does.
template <class T, class F>
std::string difference(const char* what, const Managed<T>& values, const F& expected) {
  const std::vector<T> v = values.values();
  for (size_t i = 0; i < v.size(); ++i)
    if (!(v[i] == T(expected(int(i))))) return str_cat(what, "[", i, "] = ", v[i], ", expected ", T(expected(int(i))));
  return "";
}

}  // namespace gt
