// Filling, converting and adding elements. With s the bytes of an element, per element: fill writes s; convert reads
// and writes one element; add reads 2s, writes s and takes 1 FLOP.
#include "core/elementwise.h"

#include "core/launch.cuh"
#include "core/parallel.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

template <class T>
struct Fill {
  T* x;
  T value;
  GT_HD void operator()(int64_t i) const { x[i] = value; }
};

template <class X, class Y>
struct Convert {
  const X* x;
  Y* y;
  GT_HD void operator()(int64_t i) const { y[i] = Y(x[i]); }
};

template <class T>
struct Add {
  const T* x;
  T* sum;
  GT_HD void operator()(int64_t i) const { sum[i] = T(sum[i] + x[i]); }
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

template <class F>
void for_elements(int64_t n, const F& f) {
  parallel_for(n, 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
template <class F>
__global__ void elements_kernel(int64_t n, F f) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) f(i);
}

namespace cuda {

template <class F>
void for_elements(int64_t n, const F& f) {
  launch({blocks_for(n, 256), 256}, elements_kernel<F>, n, f);
}

}  // namespace cuda
#endif

}  // namespace

// ---- The functions --------------------------------------------------------------------------------------------------

void fill_elements(Tensor& x, double value) {
  visit_any(x.dtype(), [&]<class T>() {
    GT_DISPATCH(x.device(), for_elements, x.size(), Fill<T>{operand<T>(x), T(value)});
  });
}

void convert_elements(const Tensor& x, Tensor& y) {
  visit_any(x.dtype(), [&]<class X>() {
    visit_any(y.dtype(), [&]<class Y>() {
      GT_DISPATCH(y.device(), for_elements, y.size(), Convert<X, Y>{operand<X>(x), operand<Y>(y)});
    });
  });
}

void add_elements(Tensor& sum, const Tensor& x) {
  visit_activation(sum.dtype(), [&]<class T>() {
    GT_DISPATCH(sum.device(), for_elements, sum.size(), Add<T>{operand<T>(x), operand<T>(sum)});
  });
}

}  // namespace gt
