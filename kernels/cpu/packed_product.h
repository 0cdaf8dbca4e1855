// Matrix products by the inner loops of the convolutions, of operands that the caller packs. A row of a is a pixel of k
// channels, a column of b an output channel.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/cpu/conv_groups.h"

namespace gt {

/// Products y (m,n) = a (m,k) b (k,n). A sum adds its terms in order.
template <class T>
class PackedProduct {
 public:
  PackedProduct(int64_t m, int64_t n, int64_t k) : m_(m), n_(n), k_(k), groups_(tiles::make_groups<T>(n)) {}

  int64_t a_size() const { return m_ * tiles::ceil_div(k_, tiles::block) * tiles::block; }
  int64_t b_size() const { return k_ * tiles::padded_width<T>(groups_); }

  /// The index of a[i][j] in packed a: [k / 16][m][16].
  int64_t a_index(int64_t i, int64_t j) const { return (j / tiles::block * m_ + i) * tiles::block + j % tiles::block; }

  /// f(u, to) for each vector of row j of packed b, whose columns from u on belong to `to`. Elements beyond the last
  /// column may be anything.
  template <class F>
  void for_vectors(int64_t j, T* b, const F& f) const {
    for (const tiles::Group& group : groups_)
      for (int64_t u = 0; u < group.width<T>(); u += simd::lanes<T>)
        f(group.first + u, b + group.first * k_ + j * group.width<T>() + u);
  }

  /// y = a b, of packed a and b. Rows of y are y_row elements apart.
  void compute(const T* a, const T* b, T* y, int64_t y_row) const {
    for (const tiles::Group& group : groups_)
      tiles::visit_vectors(group.vectors, [&]<int V>() {
        constexpr int64_t width = V * simd::lanes<T>;
        const int64_t used = std::min(width, n_ - group.first);
        if (k_ > 0 && used == width) return multiply_group<V>(a, b + group.first * k_, y + group.first, y_row);
        std::vector<T> whole(size_t(m_ * width));
        if (k_ > 0) multiply_group<V>(a, b + group.first * k_, whole.data(), width);
        for (int64_t i = 0; i < m_; ++i) std::copy_n(whole.data() + i * width, used, y + i * y_row + group.first);
      });
  }

 private:
  template <int V>
  void multiply_group(const T* a, const T* b, T* y, int64_t y_row) const {
    static constexpr T zeros[V * simd::lanes<T>] = {};
    tiles::multiply_pixels<T, V>(k_, m_, a, b, zeros, y, y_row);
  }

  int64_t m_, n_, k_;
  std::vector<tiles::Group> groups_;
};

}  // namespace gt
