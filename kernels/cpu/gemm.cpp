#include "kernels/cpu/gemm.h"

#include "core/parallel.h"
#include "core/tensor.h"
#include "kernels/cpu/packed_product.h"

namespace gt {
namespace {

using namespace tiles;

/// Packs rows [begin, end) of a (m,k) to [k / 16][row][16].
template <class T>
void pack_rows(int64_t begin, int64_t end, int64_t k, const T* a, T* packed) {
  for (int64_t j = 0; j < k; j += block)
    for (int64_t i = begin; i < end; ++i, packed += block)
      std::copy_n(a + i * k + j, std::min<int64_t>(block, k - j), packed);
}

/// Packs columns [begin, end) of a (k,m) to [k / 16][column][16].
template <class T>
void pack_columns(int64_t begin, int64_t end, int64_t m, int64_t k, const T* a, T* packed) {
  constexpr int64_t L = lanes<T>;
  const int64_t count = end - begin, whole_k = k / block * block, whole = count / L * L;
  for (int64_t j = 0; j < k; j += block, packed += count * block) {
    const T* from = a + j * m + begin;
    if (j < whole_k)
      for (int64_t i = 0; i < whole; i += L)
        for (int64_t d = 0; d < block; d += L) transpose(from + d * m + i, m, packed + i * block + d, block);
    for (int64_t i = j < whole_k ? whole : 0; i < count; ++i)
      for (int64_t d = 0; d < std::min<int64_t>(block, k - j); ++d) packed[i * block + d] = from[d * m + i];
  }
}

}  // namespace

template <class T>
void multiply(int64_t m, int64_t n, int64_t k, const T* a, bool transpose_a, const T* b, bool transpose_b, T* y) {
  if (m == 0 || n == 0) return;
  const std::vector<Group> groups = make_groups<T>(n);
  Tensor columns({k * padded_width<T>(groups)}, dtype_of<T>());
  const Correlation packing{.images = 1, .height = 1, .width = m, .in = k, .out = n, .kernel = 1};
  const WeightView<const T> weights{b, transpose_b ? k : 1, transpose_b ? 1 : n, 0, 0};
  if (k > 0) pack_weights(packing, weights, groups, columns.data<T>());

  // Packed rows stay in the second cache.
  const int64_t terms = std::max<int64_t>(k, 1), cached = (256 << 10) / (terms * int64_t(sizeof(T)));
  const int64_t rows = std::max(grain(n * terms), std::clamp<int64_t>(cached, 16, 256));
  parallel_for(m, rows, [&](int64_t begin, int64_t end) {
    const PackedProduct<T> product(end - begin, n, k);
    std::vector<T> packed(size_t(product.a_size()));
    if (transpose_a)
      pack_columns(begin, end, m, k, a, packed.data());
    else
      pack_rows(begin, end, k, a, packed.data());
    product.compute(packed.data(), columns.data<T>(), y + begin * n, n);
  });
}

template void multiply(int64_t, int64_t, int64_t, const float*, bool, const float*, bool, float*);
template void multiply(int64_t, int64_t, int64_t, const double*, bool, const double*, bool, double*);

}  // namespace gt
