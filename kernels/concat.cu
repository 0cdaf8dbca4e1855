// Ops that only move data.
//   reshape   the same buffer under another shape, both ways.
//   concat    (P,C1), (P,C2) -> (P,C1+C2), a pixel's channels of a before those of b; backward splits dy again.
// Saved: nothing. concat reads and writes each element once forward and once backward, without FLOPs.
#include <algorithm>

#include "kernels/channels.h"
#include "kernels/op.h"
#include "kernels/ops.h"

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

#if GT_CUDA
namespace cuda = cpu;  // its CUDA bodies are not written yet
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
  visit_float(a.dtype(), [&]<class T>() {
    GT_DISPATCH(a.device(), concat_forward, pixels, c1, c2, a.data<T>(), b.data<T>(), y.data<T>());
  });
  const bool a_needs = a.requires_grad(), b_needs = b.requires_grad();
  return record("concat", y, {a, b}, [=, a_shape = a.shape(), b_shape = b.shape()](const Tensor& dy) -> Tensors {
    const Tensor da = a_needs ? Tensor(a_shape, dy.dtype(), dy.device()) : Tensor{};
    const Tensor db = b_needs ? Tensor(b_shape, dy.dtype(), dy.device()) : Tensor{};
    visit_float(dy.dtype(), [&]<class T>() {
      GT_DISPATCH(dy.device(), concat_backward, pixels, c1, c2, dy.data<T>(), pointer<T>(da), pointer<T>(db));
    });
    return {da, db};
  });
}

}  // namespace gt
