#include "core/shape.h"

#include <ostream>

namespace gt {

int64_t Shape::size() const {
  int64_t count = 1;
  for (const int64_t dim : dims_) count *= dim;
  return count;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '(';
  for (int i = 0; i < shape.rank(); ++i) out << (i > 0 ? "," : "") << shape[size_t(i)];
  return out << ')';
}

}  // namespace gt
