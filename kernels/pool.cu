// Maximum over blocks of 2x2 pixels: y(b,r,p,c) = max over i, j in {0,1} of x(b,2r+i,2p+j,c).
//   dx(b,2r+i,2p+j,c) = dy(b,r,p,c) where (i,j) is the first place, by rows, of the maximum, else 0. NaN counts as
//   largest.
// x (B,H,W,C) with H and W even -> y (B,H/2,W/2,C).
// Saved for backward: the place 2i + j, a byte per output. Against saving x that keeps a 16th of the memory alive, and
// backward need not read x again, half of the bytes it would move.
// With n outputs of size s, forward reads 4ns and writes n(s + 1), backward reads n(s + 1) and writes 4ns; 3n
// comparisons. CUDA: one launch each way, a thread 16 bytes of the channels of one output; x and y may be bf16.
#include "core/autograd.h"
#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/ops.h"
#include "kernels/vector.cuh"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

template <class T>
struct Best {
  T value;
  uint8_t place;
};

template <class T>
GT_HD inline Best<T> best_of(T x0, T x1, T x2, T x3) {
  const auto larger = [](T a, T b) { return a > b || a != a; };  // a beats b, which comes before it
  const bool right0 = larger(x1, x0) && x0 == x0, right1 = larger(x3, x2) && x2 == x2;
  const T top = right0 ? x1 : x0, bottom = right1 ? x3 : x2;
  const bool below = larger(bottom, top) && top == top;
  return {below ? bottom : top, uint8_t(below ? 2 + right1 : right0)};
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block = 1 << 10;  // outputs

/// rows and width are those of the output, over all images; x has 2 width pixels in each of its 2 rows.
template <class T>
void max_pool2x2_forward(int64_t rows, int64_t width, int64_t channels, const T* x, T* y, uint8_t* place) {
  const int64_t pitch = 2 * width * channels;
  parallel_for(rows, 1 + block / (width * channels), [&](int64_t begin, int64_t end) {
    for (int64_t pixel = begin * width; pixel < end * width; ++pixel) {
      const T* x0 = x + pixel / width * 2 * pitch + pixel % width * 2 * channels;
      T* to = y + pixel * channels;
      uint8_t* at = place + pixel * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        const Best<T> best = best_of(x0[c], x0[c + channels], x0[c + pitch], x0[c + pitch + channels]);
        to[c] = best.value;
        at[c] = best.place;
      }
    }
  });
}

template <class T>
void max_pool2x2_backward(int64_t rows, int64_t width, int64_t channels, const T* dy, const uint8_t* place, T* dx) {
  const int64_t pitch = 2 * width * channels;
  parallel_for(rows, 1 + block / (width * channels), [&](int64_t begin, int64_t end) {
    for (int64_t pixel = begin * width; pixel < end * width; ++pixel) {
      T* dx0 = dx + pixel / width * 2 * pitch + pixel % width * 2 * channels;
      const T* from = dy + pixel * channels;
      const uint8_t* at = place + pixel * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        dx0[c] = at[c] == 0 ? from[c] : T(0);
        dx0[c + channels] = at[c] == 1 ? from[c] : T(0);
        dx0[c + pitch] = at[c] == 2 ? from[c] : T(0);
        dx0[c + pitch + channels] = at[c] == 3 ? from[c] : T(0);
      }
    }
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
template <int N, class T>
__global__ void __launch_bounds__(PixelTiles::threads)
    max_pool2x2_forward_kernel(int64_t width, int64_t channels, PixelTiles tiles, const T* x, T* y, uint8_t* place) {
  using C = compute_t<T>;
  const int64_t row = tiles.row(), column = tiles.column(), pitch = 2 * width * channels;
  if (column >= width) return;
  x += row * 2 * pitch + column * 2 * channels;
  const int64_t to = (row * width + column) * channels;
  for (int64_t c = tiles.lane() * N; c < channels; c += tiles.lanes * N) {
    const auto x0 = load<N>(x + c), x1 = load<N>(x + c + channels);
    const auto x2 = load<N>(x + c + pitch), x3 = load<N>(x + c + pitch + channels);
    Vector<T, N> values;
    Vector<uint8_t, N> places;
    for (int j = 0; j < N; ++j) {
      const Best<C> best = best_of(C(x0.v[j]), C(x1.v[j]), C(x2.v[j]), C(x3.v[j]));
      values.v[j] = T(best.value);
      places.v[j] = best.place;
    }
    store(y + to + c, values);
    store(place + to + c, places);
  }
}

template <int N, class T>
__global__ void __launch_bounds__(PixelTiles::threads)
    max_pool2x2_backward_kernel(int64_t width, int64_t channels, PixelTiles tiles, const T* dy, const uint8_t* place,
                                T* dx) {
  const int64_t row = tiles.row(), column = tiles.column(), pitch = 2 * width * channels;
  if (column >= width) return;
  const int64_t from = (row * width + column) * channels;
  dx += row * 2 * pitch + column * 2 * channels;
  for (int64_t c = tiles.lane() * N; c < channels; c += tiles.lanes * N) {
    const auto gradient = load<N>(dy + from + c);
    const auto places = load<N>(place + from + c);
    for (int k = 0; k < 4; ++k) {
      Vector<T, N> part;
      for (int j = 0; j < N; ++j) part.v[j] = places.v[j] == k ? gradient.v[j] : T(0);
      store(dx + c + (k / 2) * pitch + (k % 2) * channels, part);
    }
  }
}

namespace cuda {

template <class T>
void max_pool2x2_forward(int64_t rows, int64_t width, int64_t channels, const T* x, T* y, uint8_t* place) {
  with_vectors<T>(channels, [&]<int N>() {
    const PixelTiles tiles(width, channels / N);
    launch({tiles.blocks(rows), tiles.threads}, max_pool2x2_forward_kernel<N, T>, width, channels, tiles, x, y, place);
  });
}

template <class T>
void max_pool2x2_backward(int64_t rows, int64_t width, int64_t channels, const T* dy, const uint8_t* place, T* dx) {
  with_vectors<T>(channels, [&]<int N>() {
    const PixelTiles tiles(width, channels / N);
    launch({tiles.blocks(rows), tiles.threads}, max_pool2x2_backward_kernel<N, T>, width, channels, tiles, dy, place,
           dx);
  });
}

}  // namespace cuda
#endif

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor max_pool2x2(const Tensor& x) {
  GT_CHECK(x.rank() == 4 && x.dim(1) % 2 == 0 && x.dim(2) % 2 == 0 && x.size() > 0,
           "max_pool2x2: expected x (B,H,W,C) with H and W even, not empty, got ", x.shape());
  const Shape half = {x.dim(0), x.dim(1) / 2, x.dim(2) / 2, x.dim(3)};
  const int64_t rows = half[0] * half[1], width = half[2], channels = half[3];
  const Tensor y(half, x.dtype(), x.device()), place(half, DType::u8, x.device());
  visit_stored(x.dtype(), [&]<class T>() {
    GT_DISPATCH_STORED(T, x.device(), max_pool2x2_forward, rows, width, channels, x.data<T>(), y.data<T>(),
                       place.data<uint8_t>());
  });
  return record("max_pool2x2", y, {x}, [=, shape = x.shape()](const Tensor& dy) -> Tensors {
    const Tensor dx(shape, dy.dtype(), dy.device());
    visit_stored(dy.dtype(), [&]<class T>() {
      GT_DISPATCH_STORED(T, dy.device(), max_pool2x2_backward, rows, width, channels, dy.data<T>(),
                         place.data<uint8_t>(), dx.data<T>());
    });
    return {dx};
  });
}

}  // namespace gt
