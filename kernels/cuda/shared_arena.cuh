// How a kernel divides its dynamic shared memory among several arrays.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/device.h"

namespace gt::gpu {

/// Hands out arrays of a block's dynamic shared memory one after another, each in a whole number of 128 bytes. Without
/// a beginning it only counts bytes: the host makes one to learn how much memory a launch needs.
class SharedArena {
 public:
  GT_HD explicit SharedArena(char* begin = nullptr) : begin_(begin) {}

  /// The next `count` elements; null without a beginning.
  template <class T>
  GT_HD T* take(int64_t count) {
    T* const array = begin_ == nullptr ? nullptr : reinterpret_cast<T*>(begin_ + bytes_);
    bytes_ += (size_t(count) * sizeof(T) + 127) / 128 * 128;
    return array;
  }
  /// Handed out so far.
  GT_HD size_t bytes() const { return bytes_; }

 private:
  char* begin_;
  size_t bytes_ = 0;
};

}  // namespace gt::gpu
