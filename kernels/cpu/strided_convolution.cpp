#include "kernels/cpu/strided_convolution.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "core/tensor.h"
#include "kernels/cpu/gemm.h"

namespace gt {
namespace {

constexpr int64_t grain = 1 << 14;  // elements of a block of work

int64_t rows_of_block(int64_t elements_of_row) { return 1 + grain / std::max<int64_t>(1, elements_of_row); }

/// The patches of one image: a row (R,R,C) for each pixel of y, with 0 outside the image.
template <class T>
void copy_patches(const StridedConvolution& n, const T* x, T* patches) {
  const int64_t columns = n.out_width(), half = n.kernel / 2;
  parallel_for(n.out_pixels(), rows_of_block(n.patch()), [=](int64_t begin, int64_t end) {
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      T* to = patches + pixel * n.patch();
      for (int64_t i = 0; i < n.kernel; ++i)
        for (int64_t j = 0; j < n.kernel; ++j, to += n.in) {
          const int64_t u = pixel / columns * n.stride + i - half, v = pixel % columns * n.stride + j - half;
          if (u < 0 || u >= n.height || v < 0 || v >= n.width)
            std::fill_n(to, n.in, T(0));
          else
            std::copy_n(x + (u * n.width + v) * n.in, n.in, to);
        }
    }
  });
}

/// dx of one image: each pixel sums the places of the patches that were copied from it, in the order of the kernel.
template <class T>
void sum_patches(const StridedConvolution& n, const T* patches, T* dx) {
  const int64_t rows = n.out_height(), columns = n.out_width(), half = n.kernel / 2;
  parallel_for(n.height * n.width, rows_of_block(n.patch()), [=](int64_t begin, int64_t end) {
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      T* const sum = dx + pixel * n.in;
      std::fill_n(sum, n.in, T(0));
      for (int64_t i = 0; i < n.kernel; ++i)
        for (int64_t j = 0; j < n.kernel; ++j) {
          const int64_t down = pixel / n.width + half - i, right = pixel % n.width + half - j;
          if (down < 0 || right < 0 || down % n.stride != 0 || right % n.stride != 0) continue;
          const int64_t r = down / n.stride, p = right / n.stride;
          if (r >= rows || p >= columns) continue;
          const T* const from = patches + (r * columns + p) * n.patch() + (i * n.kernel + j) * n.in;
          for (int64_t c = 0; c < n.in; ++c) sum[c] += from[c];
        }
    }
  });
}

template <class T>
Tensor empty_patches(const StridedConvolution& n) {
  return Tensor({n.out_pixels(), n.patch()}, dtype_of<T>());
}

}  // namespace

template <class T>
void convolve_patches(const StridedConvolution& n, const T* x, const T* w, const T* bias, T* y) {
  const Tensor patches = empty_patches<T>(n);
  for (int64_t b = 0; b < n.images; ++b) {
    T* const image = y + b * n.out_pixels() * n.out;
    copy_patches(n, x + b * n.height * n.width * n.in, patches.data<T>());
    multiply(n.out_pixels(), n.out, n.patch(), patches.data<T>(), false, w, true, image);
    if (bias == nullptr) continue;
    parallel_for(n.out_pixels(), rows_of_block(n.out), [=](int64_t begin, int64_t end) {
      for (int64_t pixel = begin; pixel < end; ++pixel)
        for (int64_t k = 0; k < n.out; ++k) image[pixel * n.out + k] += bias[k];
    });
  }
}

template <class T>
void convolve_patches_data_gradient(const StridedConvolution& n, const T* dy, const T* w, T* dx) {
  const Tensor patches = empty_patches<T>(n);
  for (int64_t b = 0; b < n.images; ++b) {
    multiply(n.out_pixels(), n.patch(), n.out, dy + b * n.out_pixels() * n.out, false, w, false, patches.data<T>());
    sum_patches(n, patches.data<T>(), dx + b * n.height * n.width * n.in);
  }
}

/// The products give dw transposed, (R,R,C,K): that has enough rows for all threads.
template <class T>
void convolve_patches_weight_gradient(const StridedConvolution& n, const T* x, const T* dy, T* dw) {
  const Tensor patches = empty_patches<T>(n), product({n.patch(), n.out}, dtype_of<T>());
  for (int64_t b = 0; b < n.images; ++b) {
    copy_patches(n, x + b * n.height * n.width * n.in, patches.data<T>());
    multiply(n.patch(), n.out, n.out_pixels(), patches.data<T>(), true, dy + b * n.out_pixels() * n.out, false,
             product.data<T>());
    const T* const from = product.data<T>();
    parallel_for(n.out, rows_of_block(n.patch()), [=](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k)
        for (int64_t i = 0; i < n.patch(); ++i) {
          const T value = from[i * n.out + k];
          T& sum = dw[k * n.patch() + i];
          sum = b == 0 ? value : sum + value;
        }
    });
  }
}

#define GT_INSTANTIATE(T)                                                                          \
  template void convolve_patches(const StridedConvolution&, const T*, const T*, const T*, T*);     \
  template void convolve_patches_data_gradient(const StridedConvolution&, const T*, const T*, T*); \
  template void convolve_patches_weight_gradient(const StridedConvolution&, const T*, const T*, T*);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)

}  // namespace gt
