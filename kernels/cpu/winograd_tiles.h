// The transforms of Winograd's minimal filtering. F(M,3) computes M outputs of a correlation with 3 weights from M + 2
// products. It multiplies two polynomials by their values at M + 2 points: 0, 1, -1, infinity, and for M = 4 also 2 and
// -2. In each of the two dimensions, with B, G and A of Lavin and Gray (2016):
//   y = A^T ((G g) * (B^T d)),   dg = G^T ((B^T d) * (A dy))
#pragma once

#include <type_traits>

namespace gt::tiles {

/// The element type of a vector.
template <class V>
using Element = std::remove_cvref_t<decltype(V{}[0])>;

template <int M>
struct Winograd;

template <>
struct Winograd<2> {
  template <class V>  // B^T d
  static void input(const V (&d)[4], V (&u)[4]) {
    u[0] = d[0] - d[2];
    u[1] = d[1] + d[2];
    u[2] = d[2] - d[1];
    u[3] = d[1] - d[3];
  }
  template <class V>  // G g
  static void weights(const V (&g)[3], V (&u)[4]) {
    const V ends = g[0] + g[2];
    u[0] = g[0];
    u[1] = (ends + g[1]) * 0.5f;
    u[2] = (ends - g[1]) * 0.5f;
    u[3] = g[2];
  }
  template <class V>  // A^T u
  static void output(const V (&u)[4], V (&y)[2]) {
    y[0] = u[0] + u[1] + u[2];
    y[1] = u[1] - u[2] - u[3];
  }
  template <class V>  // A y
  static void output_gradient(const V (&y)[2], V (&u)[4]) {
    u[0] = y[0];
    u[1] = y[0] + y[1];
    u[2] = y[0] - y[1];
    u[3] = -y[1];
  }
  template <class V>  // G^T u
  static void weight_gradient(const V (&u)[4], V (&g)[3]) {
    const V both = (u[1] + u[2]) * 0.5f;
    g[0] = u[0] + both;
    g[1] = (u[1] - u[2]) * 0.5f;
    g[2] = both + u[3];
  }
};

template <>
struct Winograd<4> {
  template <class V>
  static void input(const V (&d)[6], V (&u)[6]) {
    const V even = d[4] - d[2] * 4.0f, odd = d[3] - d[1] * 4.0f;
    const V even2 = d[4] - d[2], odd2 = (d[3] - d[1]) * 2.0f;
    u[0] = d[0] * 4.0f - d[2] * 5.0f + d[4];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = d[1] * 4.0f - d[3] * 5.0f + d[5];
  }
  template <class V>
  static void weights(const V (&g)[3], V (&u)[6]) {
    const Element<V> sixth = Element<V>(1) / 6;
    const V ends = (g[0] + g[2]) * sixth, middle = g[1] * sixth;
    const V ends2 = (g[0] + g[2] * 4.0f) * (sixth / 4), middle2 = middle * 0.5f;
    u[0] = g[0] * 0.25f;
    u[1] = -ends - middle;
    u[2] = middle - ends;
    u[3] = ends2 + middle2;
    u[4] = ends2 - middle2;
    u[5] = g[2];
  }
  template <class V>
  static void output(const V (&u)[6], V (&y)[4]) {
    const V sum = u[1] + u[2], difference = u[1] - u[2], sum2 = u[3] + u[4], difference2 = u[3] - u[4];
    y[0] = u[0] + sum + sum2;
    y[1] = difference + difference2 * 2.0f;
    y[2] = sum + sum2 * 4.0f;
    y[3] = difference + difference2 * 8.0f + u[5];
  }
  template <class V>
  static void output_gradient(const V (&y)[4], V (&u)[6]) {
    const V even = y[0] + y[2], odd = y[1] + y[3];
    const V even2 = y[0] + y[2] * 4.0f, odd2 = (y[1] + y[3] * 4.0f) * 2.0f;
    u[0] = y[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = even2 + odd2;
    u[4] = even2 - odd2;
    u[5] = y[3];
  }
  template <class V>
  static void weight_gradient(const V (&u)[6], V (&g)[3]) {
    const Element<V> sixth = Element<V>(1) / 6;
    const V sum = (u[1] + u[2]) * sixth, sum2 = (u[3] + u[4]) * sixth;
    g[0] = u[0] * 0.25f - sum + sum2 * 0.25f;
    g[1] = (u[2] - u[1] + (u[3] - u[4]) * 0.5f) * sixth;
    g[2] = sum2 - sum + u[5];
  }
};

/// Applies `line`, one of the transforms above, to the columns of `from` and then to the rows of the result.
template <int In, int Out, class V, class F>
[[gnu::always_inline]] inline void transform(const V (&from)[In][In], V (&to)[Out][Out], F&& line) {
  V half[Out][In];
#pragma GCC unroll 8
  for (int j = 0; j < In; ++j) {
    V column[In], transformed[Out];
#pragma GCC unroll 8
    for (int i = 0; i < In; ++i) column[i] = from[i][j];
    line(column, transformed);
#pragma GCC unroll 8
    for (int i = 0; i < Out; ++i) half[i][j] = transformed[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < Out; ++i) line(half[i], to[i]);
}

}  // namespace gt::tiles
