// Division of each map by its maximum: s (B,..) -> y = s / m, m the map's maximum; y = 0 where m is not above 0.
//   ds_i = (dy_i - [i is the first maximum] sum_j dy_j y_j) / m
// Saved: y, and per map m and the place of the maximum. Per element of size s: forward moves 3s and takes 2 FLOPs,
// backward 5s and 3.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/op.h"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

template <class T>
void normalize_max_forward(int64_t maps, int64_t size, const T* s, T* y, T* maximum, int32_t* place) {
  parallel_for(maps, 1, [=](int64_t b, int64_t) {
    const T* from = s + b * size;
    T m = 0;
#pragma omp simd reduction(max : m)
    for (int64_t i = 0; i < size; ++i) m = from[i] > m ? from[i] : m;
    maximum[b] = m;
    place[b] = int32_t(std::find(from, from + size, m) - from);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) y[b * size + i] = m > 0 ? from[i] / m : T(0);
  });
}

template <class T>
void normalize_max_backward(int64_t maps, int64_t size, const T* y, const T* maximum, const int32_t* place, const T* dy,
                            T* ds) {
  parallel_for(maps, 1, [=](int64_t b, int64_t) {
    const T m = maximum[b];
    double through_maximum = 0;
#pragma omp simd reduction(+ : through_maximum)
    for (int64_t i = b * size; i < (b + 1) * size; ++i) {
      through_maximum += double(dy[i]) * double(y[i]);
      ds[i] = m > 0 ? dy[i] / m : T(0);
    }
    if (m > 0) ds[b * size + place[b]] -= T(through_maximum / double(m));
  });
}

}  // namespace cpu

#if GT_CUDA
namespace cuda = cpu;  // its CUDA bodies are not written yet
#endif

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor normalize_max(const Tensor& s) {
  GT_CHECK(s.rank() >= 1 && s.dim(0) >= 1, "normalize_max: expected maps (B,..) with B at least 1, got ", s.shape());
  const int64_t maps = s.dim(0), size = s.size() / maps;
  const Tensor y(s.shape(), s.dtype(), s.device()), maximum({maps}, s.dtype(), s.device());
  const Tensor place({maps}, DType::i32, s.device());
  visit_float(s.dtype(), [&]<class T>() {
    GT_DISPATCH(s.device(), normalize_max_forward, maps, size, s.data<T>(), y.data<T>(), maximum.data<T>(),
                place.data<int32_t>());
  });
  return record("normalize_max", y, {s}, [=, y = y.detach()](const Tensor& dy) -> Tensors {
    const Tensor ds(y.shape(), y.dtype(), y.device());
    visit_float(dy.dtype(), [&]<class T>() {
      GT_DISPATCH(dy.device(), normalize_max_backward, maps, size, y.data<T>(), maximum.data<T>(),
                  place.data<int32_t>(), dy.data<T>(), ds.data<T>());
    });
    return {ds};
  });
}

}  // namespace gt
