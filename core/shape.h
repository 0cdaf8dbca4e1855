// Shape: the dimensions of a tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <utility>
#include <vector>

namespace gt {

/// Dimensions in row-major order, the last one fastest. An empty Shape is a scalar's.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<int64_t> dims) : dims_(std::move(dims)) {}
  template <class Iterator>
  Shape(Iterator first, Iterator last) : dims_(first, last) {}

  int rank() const { return int(dims_.size()); }
  /// The number of elements: the product of the dimensions, 1 for a scalar.
  int64_t size() const;
  const std::vector<int64_t>& dims() const { return dims_; }

  /// Dimension i of [0, rank()), unchecked.
  int64_t operator[](size_t i) const { return dims_[i]; }
  int64_t& operator[](size_t i) { return dims_[i]; }
  int64_t back() const { return dims_.back(); }
  int64_t& back() { return dims_.back(); }
  std::vector<int64_t>::const_iterator begin() const { return dims_.begin(); }
  std::vector<int64_t>::const_iterator end() const { return dims_.end(); }

  bool operator==(const Shape&) const = default;

 private:
  std::vector<int64_t> dims_;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);  ///< as (8,128,128,3)

}  // namespace gt
