// Ops that only move data.
//   reshape   the same buffer under another shape, both ways.
//   concat    (P,C1), (P,C2) -> (P,C1+C2), a pixel's channels of a before those of b; backward splits dy again.
// Saved: nothing. concat reads and writes each element once forward and once backward, without FLOPs. CUDA: one launch
// each way, 16 bytes at a time where C1 and C2 allow it; bf16 as well.
#include <algorithm>
#include <numeric>

#include "core/launch.cuh"
#include "kernels/channels.h"
#include "kernels/op.h"
#include "kernels/ops.h"
#include "kernels/vector.cuh"

namespace gt {
namespace {

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

template <class T>
void concat_forward(int64_t pixels, int64_t c1, int64_t c2, const T* a, const T* b, T* y) {
  for_pixels({1, pixels, c1 + c2},
             [=](int64_t p) { std::copy_n(b + p * c2, c2, std::copy_n(a + p * c1, c1, y + p * (c1 + c2))); });
}

/// da or db is null where nobody needs it.
template <class T>
void concat_backward(int64_t pixels, int64_t c1, int64_t c2, const T* dy, T* da, T* db) {
  for_pixels({1, pixels, c1 + c2}, [=](int64_t p) {
    const T* from = dy + p * (c1 + c2);
    if (da != nullptr) std::copy_n(from, c1, da + p * c1);
    if (db != nullptr) std::copy_n(from + c1, c2, db + p * c2);
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
template <int N, class T>
__global__ void __launch_bounds__(PixelTiles::threads)
    concat_forward_kernel(int64_t pixels, int64_t c1, int64_t c2, PixelTiles tiles, const T* a, const T* b, T* y) {
  const int64_t p = tiles.column();
  if (p >= pixels) return;
  for (int64_t c = tiles.lane() * N; c < c1 + c2; c += tiles.lanes * N)
    store(y + p * (c1 + c2) + c, load<N>(c < c1 ? a + p * c1 + c : b + p * c2 + (c - c1)));
}

template <int N, class T>
__global__ void __launch_bounds__(PixelTiles::threads)
    concat_backward_kernel(int64_t pixels, int64_t c1, int64_t c2, PixelTiles tiles, const T* dy, T* da, T* db) {
  const int64_t p = tiles.column();
  if (p >= pixels) return;
  for (int64_t c = tiles.lane() * N; c < c1 + c2; c += tiles.lanes * N)
    if ((c < c1 ? da : db) != nullptr)
      store(c < c1 ? da + p * c1 + c : db + p * c2 + (c - c1), load<N>(dy + p * (c1 + c2) + c));
}

namespace cuda {

template <class T>
void concat_forward(int64_t pixels, int64_t c1, int64_t c2, const T* a, const T* b, T* y) {
  with_vectors<T>(std::gcd(c1, c2), [&]<int N>() {
    const PixelTiles tiles(pixels, (c1 + c2) / N);
    launch({tiles.blocks(1), tiles.threads}, concat_forward_kernel<N, T>, pixels, c1, c2, tiles, a, b, y);
  });
}

/// da or db is null where nobody needs it.
template <class T>
void concat_backward(int64_t pixels, int64_t c1, int64_t c2, const T* dy, T* da, T* db) {
  with_vectors<T>(std::gcd(c1, c2), [&]<int N>() {
    const PixelTiles tiles(pixels, (c1 + c2) / N);
    launch({tiles.blocks(1), tiles.threads}, concat_backward_kernel<N, T>, pixels, c1, c2, tiles, dy, da, db);
  });
}

}  // namespace cuda
#endif

}  // namespace

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensor reshape(const Tensor& x, Shape shape) {
  GT_CHECK(x.size() == shape.size(), "reshape: x is ", x.shape(), ", which does not fit ", shape);
  return record("reshape", x.view(std::move(shape)), {x},
                [before = x.shape()](const Tensor& dy) -> Tensors { return {dy.view(before)}; });
}

Tensor concat(const Tensor& a, const Tensor& b) {
  GT_CHECK(
      a.rank() >= 1 && a.rank() == b.rank() && std::equal(a.shape().begin(), a.shape().end() - 1, b.shape().begin()),
      "concat: expected (..,C1) and (..,C2), got ", a.shape(), " and ", b.shape());
  GT_CHECK(a.dtype() == b.dtype() && a.device() == b.device(), "concat: expected one type and device, got ", a.dtype(),
           " on ", a.device(), " and ", b.dtype(), " on ", b.device());
  const int64_t c1 = a.dim(-1), c2 = b.dim(-1);
  GT_CHECK(c1 + c2 > 0, "concat: expected at least one channel, got ", a.shape(), " and ", b.shape());
  Shape shape = a.shape();
  shape.back() = c1 + c2;
  const Tensor y(std::move(shape), a.dtype(), a.device());
  const int64_t pixels = y.size() / (c1 + c2);
  visit_stored(a.dtype(), [&]<class T>() {
    GT_DISPATCH_STORED(T, a.device(), concat_forward, pixels, c1, c2, a.data<T>(), b.data<T>(), y.data<T>());
  });
  const bool a_needs = a.requires_grad(), b_needs = b.requires_grad();
  return record("concat", y, {a, b}, [=, a_shape = a.shape(), b_shape = b.shape()](const Tensor& dy) -> Tensors {
    const Tensor da = a_needs ? Tensor(a_shape, dy.dtype(), dy.device()) : Tensor{};
    const Tensor db = b_needs ? Tensor(b_shape, dy.dtype(), dy.device()) : Tensor{};
    visit_stored(dy.dtype(), [&]<class T>() {
      GT_DISPATCH_STORED(T, dy.device(), concat_backward, pixels, c1, c2, dy.data<T>(), pointer<T>(da), pointer<T>(db));
    });
    return {da, db};
  });
}

}  // namespace gt
