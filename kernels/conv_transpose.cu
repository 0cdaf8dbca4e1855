// Transposed convolution, kernel 2, stride 2: every input pixel makes a block of 2x2 output pixels.
//   y(b,2r+i,2p+j,k) = bias(k) + sum_c x(b,r,p,c) w(c,k,i,j)
//   dx(b,r,p,c) = sum_{k,i,j} dy(b,2r+i,2p+j,k) w(c,k,i,j)
//   dw(c,k,i,j) = sum_{b,r,p} x(b,r,p,c) dy(b,2r+i,2p+j,k),   dbias(k) = sum of dy(..,k)
// x (B,H,W,C), w (C,K,2,2), bias (K) or undefined -> y (B,2H,2W,K).
// Read as W pixels of 2K channels (j,k), the even rows of y are a 1x1 convolution of x, and the odd ones another.
// Saved for backward: x and w, both alive anyway.
// Forward: 8 B H W C K FLOPs, reads x twice, w and bias, writes y. Backward: as many FLOPs for each of dx and dw; reads
// dy and w and adds to dx twice for the one, reads dy, and x twice, and writes dw for the other.
#include <vector>

#include "core/autograd.h"
#include "core/parallel.h"
#include "kernels/conv_cpu.h"
#include "kernels/conv_cuda.h"
#include "kernels/op.h"
#include "kernels/ops.h"
#include "kernels/precision.h"

namespace gt {
namespace {

/// The size of one of the two 1x1 convolutions.
struct HalfSize : CorrelationSize {
  double flops() const { return 2 * CorrelationSize::flops(); }  // of both
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

/// Rows 2r + i of the large image (B,2H,2W,K), as W pixels of 2K channels.
template <class T>
PixelView<T> every_second_row(T* large, const CorrelationSize& n, int i) {
  const int64_t row = n.width * n.out;
  return {large + i * row, 2 * n.height * row, 2 * row, n.out};
}

/// Calls f(s, t) for each place s in the weights of the two 1x1 convolutions, [i][c][j][k], and t in w, [c][k][i][j].
template <class F>
void for_weights(const CorrelationSize& n, F&& f) {
  const int64_t outputs = n.out / 2;
  parallel_for(n.in, 1 + (1 << 14) / n.out, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c)
      for (int64_t i = 0; i < 2; ++i)
        for (int64_t j = 0; j < 2; ++j)
          for (int64_t k = 0; k < outputs; ++k)
            f(((i * n.in + c) * 2 + j) * outputs + k, ((c * outputs + k) * 2 + i) * 2 + j);
  });
}

template <class T>
void conv_transpose2x2_forward(const CorrelationSize& n, const T* x, const T* w, const T* bias, T* y) {
  std::vector<T> weights(size_t(2 * n.in * n.out)), twice;
  for_weights(n, [&](int64_t s, int64_t t) { weights[size_t(s)] = w[t]; });
  for (int j = 0; j < 2 && bias != nullptr; ++j) twice.insert(twice.end(), bias, bias + n.out / 2);
  for (int i = 0; i < 2; ++i)
    correlate<T>(n, all_pixels(x, n.height, n.width, n.in), {&weights[size_t(i * n.in * n.out)], 1, n.out, 0, 0},
                 bias == nullptr ? nullptr : twice.data(), every_second_row(y, n, i));
}

template <class T>
void conv_transpose2x2_data_gradient(const CorrelationSize& n, const T* dy, const T* w, T* dx) {
  std::vector<T> weights(size_t(2 * n.in * n.out));
  for_weights(n, [&](int64_t s, int64_t t) { weights[size_t(s)] = w[t]; });
  for (int i = 0; i < 2; ++i)
    correlate<T>({n.images, n.height, n.width, n.out, n.in, 1}, every_second_row(dy, n, i),
                 {&weights[size_t(i * n.in * n.out)], n.out, 1, 0, 0}, nullptr, all_pixels(dx, n.height, n.width, n.in),
                 i > 0);
}

/// dbias may be null.
template <class T>
void conv_transpose2x2_weight_gradient(const CorrelationSize& n, const T* dy, const T* x, T* dw, T* dbias) {
  std::vector<T> weights(size_t(2 * n.in * n.out)), sums(size_t(2 * n.out));  // sums [i][j][k]
  for (int i = 0; i < 2; ++i)
    correlate_weight_gradient<T>(n, all_pixels(x, n.height, n.width, n.in), every_second_row(dy, n, i),
                                 {&weights[size_t(i * n.in * n.out)], 1, n.out, 0, 0}, &sums[size_t(i * n.out)]);
  for_weights(n, [&](int64_t s, int64_t t) { dw[t] = weights[size_t(s)]; });
  for (int64_t k = 0, outputs = n.out / 2; k < outputs && dbias != nullptr; ++k)
    dbias[k] =
        sums[size_t(k)] + sums[size_t(k + outputs)] + sums[size_t(k + 2 * outputs)] + sums[size_t(k + 3 * outputs)];
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
namespace cuda {

template <class T>
Convolution convolution(const CorrelationSize& n) {
  return convolution_of_transpose({n.images, n.height, n.width, n.in}, {n.in, n.out / 2, 2, 2}, dtype_of<T>(), tf32());
}

template <class T>
void conv_transpose2x2_forward(const CorrelationSize& n, const T* x, const T* w, const T* bias, T* y) {
  convolve_data_gradient(convolution<T>(n), x, w, y);
  if (bias != nullptr) add_bias(4 * n.images * n.height * n.width, n.out / 2, bias, y);
}

template <class T>
void conv_transpose2x2_data_gradient(const CorrelationSize& n, const T* dy, const T* w, T* dx) {
  const T* no_bias = nullptr;
  convolve(convolution<T>(n), dy, w, no_bias, dx);
}

template <class T>
void conv_transpose2x2_weight_gradient(const CorrelationSize& n, const T* dy, const T* x, T* dw, T* dbias) {
  convolve_weight_gradient(convolution<T>(n), dy, x, dw);
  if (dbias != nullptr) sum_pixels(4 * n.images * n.height * n.width, n.out / 2, dy, dbias);
}

}  // namespace cuda
#endif
}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensor conv_transpose2x2(const Tensor& x, const Tensor& w, const Tensor& bias) {
  GT_CHECK(x.rank() == 4 && w.rank() == 4 && w.dim(0) == x.dim(3) && w.dim(2) == 2 && w.dim(3) == 2 && x.size() > 0 &&
               w.size() > 0,
           "conv_transpose2x2: expected x (B,H,W,C) and w (C,K,2,2), none empty, got x ", x.shape(), " and w ",
           w.shape());
  const HalfSize n{{x.dim(0), x.dim(1), x.dim(2), x.dim(3), 2 * w.dim(1), 1}};
  check_weights("conv_transpose2x2", x, w, bias, w.dim(1));
  const Tensor y({n.images, 2 * n.height, 2 * n.width, w.dim(1)}, x.dtype(), x.device());
  visit_stored(x.dtype(), [&]<class T>() {
    GT_DISPATCH_STORED(T, x.device(), conv_transpose2x2_forward, n, x.data<T>(), w.data<T>(), pointer<T>(bias),
                       y.data<T>());
  });
  const bool x_needs = x.requires_grad(), w_needs = w.requires_grad(), bias_needs = bias.requires_grad();
  return record("conv_transpose2x2", y, {x, w, bias},
                [n, x = x.detach(), w = w.detach(), x_needs, w_needs, bias_needs](const Tensor& dy) -> Tensors {
                  const Tensor dx = gradient_of(x, x_needs), dw = gradient_of(w, w_needs || bias_needs);
                  const Tensor dbias = bias_needs ? Tensor({w.dim(1)}, w.dtype(), w.device()) : Tensor{};
                  visit_stored(dy.dtype(), [&]<class T>() {
                    if (dx.defined())
                      GT_DISPATCH_STORED(T, dy.device(), conv_transpose2x2_data_gradient, n, dy.data<T>(), w.data<T>(),
                                         dx.data<T>());
                    if (dw.defined())
                      GT_DISPATCH_STORED(T, dy.device(), conv_transpose2x2_weight_gradient, n, dy.data<T>(),
                                         x.data<T>(), dw.data<T>(), pointer<T>(dbias));
                  });
                  return {dx, dw, dbias};
                });
}

}  // namespace gt
