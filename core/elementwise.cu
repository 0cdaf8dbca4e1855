// Elements filled, converted and added. Per element: fill writes s bytes; convert reads and writes one of each type;
// add reads 2s, writes s and takes a FLOP.
#include "core/elementwise.h"

#include "core/launch.cuh"
#include "core/parallel.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

template <class T>
struct Fill {
  T* t;
  T value;
  GT_HD void operator()(int64_t i) const { t[i] = value; }
};

template <class From, class To>
struct Convert {
  const From* from;
  To* to;
  GT_HD void operator()(int64_t i) const { to[i] = To(from[i]); }
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

void fill_elements(const Tensor& t, double value) {
  visit_any(t.dtype(), [&]<class T>() {
    GT_DISPATCH(t.device(), for_elements, t.size(), Fill<T>{operand<T>(t), T(value)});
  });
}

void convert_elements(const Tensor& from, const Tensor& to) {
  visit_any(from.dtype(), [&]<class From>() {
    visit_any(to.dtype(), [&]<class To>() {
      GT_DISPATCH(to.device(), for_elements, to.size(), Convert<From, To>{operand<From>(from), operand<To>(to)});
    });
  });
}

void add_elements(const Tensor& sum, const Tensor& x) {
  visit_activation(sum.dtype(), [&]<class T>() {
    GT_DISPATCH(sum.device(), for_elements, sum.size(), Add<T>{operand<T>(x), operand<T>(sum)});
  });
}

}  // namespace gt
