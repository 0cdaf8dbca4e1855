// The order of the CPU's sums, which vectors of any width must keep.
#include <vector>

#include "core/random.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/packed_product.h"
#include "kernels/cpu/reduce.h"
#include "tests/catch.h"

using namespace gt;

namespace {

std::vector<float> random_values(int64_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(float(random.uniform(-1, 1)));
  return values;
}

/// ordered_sum() by its definition.
float sum_by_definition(const std::vector<float>& terms) {
  const size_t n = terms.size(), whole = n / 64 * 64;
  float sum[16] = {};
  for (size_t i = 0; i < whole; i += 64)
    for (size_t j = i; j < i + 16; ++j) sum[j % 16] += (terms[j] + terms[j + 16]) + (terms[j + 32] + terms[j + 48]);
  for (size_t i = whole; i < n; ++i) sum[i % 16] += terms[i];
  for (size_t half = 8; half > 0; half /= 2)
    for (size_t j = 0; j < half; ++j) sum[j] += sum[j + half];
  return sum[0];
}

TEST_CASE("reduce: a sum's order is that of its definition", "[reduce]") {
  for (const int64_t n : {0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 1000, 4099}) {
    const std::vector<float> terms = random_values(n, uint64_t(n));
    const float sum = ordered_sum<float>(n, [&](int64_t i) { return terms[size_t(i)]; });
    CHECK(sum == sum_by_definition(terms));
    const auto [twice, negative] = ordered_sums<float, 2>(n, [&](int64_t i) {
      return std::array{2 * terms[size_t(i)], -terms[size_t(i)]};
    });
    CHECK(twice == 2 * sum);
    CHECK(negative == -sum);
  }
}

TEST_CASE("reduce: the largest value is found at its first place", "[reduce]") {
  std::vector<float> values(1000, 0.0F);
  CHECK(find_largest<float>(1000, values.data()).index == 0);
  values[700] = values[400] = values[401] = 2;
  values[300] = 1;
  const Largest<float> largest = find_largest<float>(1000, values.data());
  CHECK(largest.value == 2);
  CHECK(largest.index == 400);
}

/// op(a) op(b), whose sums add their terms in order.
std::vector<float> product_by_definition(int64_t m, int64_t n, int64_t k, const std::vector<float>& a, bool transpose_a,
                                         const std::vector<float>& b, bool transpose_b) {
  std::vector<float> y(size_t(m * n));
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t t = 0; t < k; ++t)
        y[size_t(i * n + j)] +=
            a[size_t(transpose_a ? t * m + i : i * k + t)] * b[size_t(transpose_b ? j * k + t : t * n + j)];
  return y;
}

TEST_CASE("gemm: every sum adds its terms in order", "[gemm]") {
  struct Size {
    int64_t m, n, k;
  };
  for (const Size s : {Size{1, 1, 1},
                       {7, 5, 3},
                       {16, 16, 16},
                       {33, 47, 65},
                       {64, 130, 40},
                       {300, 20, 17},
                       {5, 70, 2000},
                       {0, 4, 3},
                       {3, 4, 0}})
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true}) {
        std::vector<float> a = random_values(s.m * s.k, 1), b = random_values(s.k * s.n, 2);
        for (float& x : b) x = x > 0 ? 0.5F : -2.0F;  // products are exact, so that fused multiply-add changes nothing
        std::vector<float> y(size_t(s.m * s.n), 7.0F);
        multiply(s.m, s.n, s.k, a.data(), transpose_a, b.data(), transpose_b, y.data());
        INFO(s.m << " x " << s.n << " x " << s.k << ", transposed: " << transpose_a << " " << transpose_b);
        CHECK(y == product_by_definition(s.m, s.n, s.k, a, transpose_a, b, transpose_b));
      }
}

TEST_CASE("gemm: rows of a packed product may be apart", "[gemm]") {
  const int64_t m = 9, n = 21, k = 18, row = 40;
  const std::vector<float> a = random_values(m * k, 3), b(size_t(k * n), 0.5F);
  const PackedProduct<float> product(m, n, k);
  std::vector<float> packed_a(size_t(product.a_size())), packed_b(size_t(product.b_size())), y(size_t(m * row), 7.0F);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < k; ++j) packed_a[size_t(product.a_index(i, j))] = a[size_t(i * k + j)];
  for (int64_t j = 0; j < k; ++j)
    product.for_vectors(j, packed_b.data(), [&](int64_t, float* to) { std::fill_n(to, simd::lanes<float>, 0.5F); });
  product.compute(packed_a.data(), packed_b.data(), y.data(), row);
  const std::vector<float> expected = product_by_definition(m, n, k, a, false, b, false);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < row; ++j) CHECK(y[size_t(i * row + j)] == (j < n ? expected[size_t(i * n + j)] : 7.0F));
}

}  // namespace
