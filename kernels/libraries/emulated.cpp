// Stands for cuDNN and cuBLASLt in an emulated build, on the CPU: the functions of cudnn.h and cublas.h. The code
// around the libraries' calls can thus be tested without them. bf16 goes through copies in f32.
#include <utility>
#include <vector>

#include "core/dry_run.h"
#include "core/emulation/emulation.h"
#include "kernels/cpu/convolution.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/strided_convolution.h"
#include "kernels/libraries/cublas.h"
#include "kernels/libraries/cudnn.h"

#if GT_CUDA && GT_EMULATE

namespace gt {
namespace {

/// A tensor's elements as floats: the elements themselves, or for bf16 a copy.
class Floats {
 public:
  Floats(DType dtype, const void* elements, int64_t size) : elements_(const_cast<void*>(elements)) {
    if (dtype != DType::bf16) return;
    const bf16* from = static_cast<const bf16*>(elements);
    copy_.assign(from, from + size);
  }
  float* data() { return copy_.empty() ? static_cast<float*>(elements_) : copy_.data(); }
  /// Writes the copy, rounded, back to the elements.
  void store() const {
    for (size_t i = 0; i < copy_.size(); ++i) static_cast<bf16*>(elements_)[i] = bf16(copy_[i]);
  }

 private:
  void* elements_;
  std::vector<float> copy_;
};

/// Counts a library call. Returns whether this is a dry run, which does no more.
bool only_counted() {
  if (current_profile != nullptr) profiling::count_device_call(profiling::DeviceCall::library_call);
  return dry_run();
}

}  // namespace

namespace cudnn {
namespace {

/// A convolution as a correlation on the CPU. With a 2 x 2 kernel and stride 2 that is a 1 x 1 correlation. A 2 x 2
/// block of x is then a pixel of 4C channels (i,j,c), in two parts one row apart. A filter (2,2,C) has that order, too.
struct EmulatedConvolution {
  Correlation correlation;
  PixelView<float> x;
  WeightView<float> w;
};

EmulatedConvolution emulate(const Convolution& c, float* x, float* w) {
  const int64_t taps = c.kernel * c.kernel, row = c.width * c.in;
  if (c.kernel == 2 && c.stride == 2 && c.padding == 0)
    return {{c.images, c.height / 2, c.width / 2, 4 * c.in, c.out, 1},
            {x, c.height * row, 2 * row, 2 * c.in, 2 * c.in, row},
            {w, taps * c.in, 1, 0, 0}};
  GT_CHECK(c.stride == 1 && c.padding == c.kernel / 2 && c.kernel % 2 == 1, "convolution: no emulation for kernel ",
           c.kernel, ", padding ", c.padding, ", stride ", c.stride,
           ", expected an odd kernel of stride 1 or 2 x 2 of stride 2");
  return {{c.images, c.height, c.width, c.in, c.out, c.kernel},
          all_pixels(x, c.height, c.width, c.in),
          {w, taps * c.in, 1, c.kernel * c.in, c.in}};
}

/// The view for reading only.
template <class T>
PixelView<const T> read(const PixelView<T>& v) {
  return {v.data, v.image, v.row, v.pixel, v.part, v.next_part};
}
/// The view for reading only.
template <class T>
WeightView<const T> read(const WeightView<T>& v) {
  return {v.data, v.out, v.in, v.row, v.column};
}

/// The tensors of a convolution, as floats.
struct FloatTensors {
  FloatTensors(const Convolution& c, const void* x_, const void* w_, const void* y_)
      : x(c.dtype, x_, c.images * c.height * c.width * c.in),
        w(c.dtype, w_, c.out * c.kernel * c.kernel * c.in),
        y(c.dtype, y_, c.images * c.out_height() * c.out_width() * c.out) {}
  Floats x, w, y;
};

/// Whether a convolution is computed by patches: that is any with an odd kernel which no correlation computes.
bool takes_patches(const Convolution& c) { return c.kernel % 2 == 1 && (c.stride > 1 || c.kernel > 3); }

StridedConvolution by_patches(const Convolution& c) {
  GT_CHECK(c.padding == c.kernel / 2, "convolution: no emulation for kernel ", c.kernel, " with padding ", c.padding);
  return {c.images, c.height, c.width, c.in, c.out, c.kernel, c.stride};
}

/// The tensors of a convolution, and the correlation of them.
struct Operands : FloatTensors {
  Operands(const Convolution& c, const void* x_, const void* w_, const void* y_)
      : FloatTensors(c, x_, w_, y_),
        convolution(emulate(c, x.data(), w.data())),
        y_view(all_pixels(y.data(), c.out_height(), c.out_width(), c.out)) {}
  EmulatedConvolution convolution;
  PixelView<float> y_view;
};

}  // namespace

bool forward(const Convolution& c, const void* x, const void* w, const void*, void* y) {
  if (only_counted()) return false;
  emulation::submit([=] {
    const float* no_bias = nullptr;
    if (takes_patches(c)) {
      FloatTensors t(c, x, w, y);
      convolve_patches<float>(by_patches(c), t.x.data(), t.w.data(), no_bias, t.y.data());
      return t.y.store();
    }
    Operands o(c, x, w, y);
    correlate(o.convolution.correlation, read(o.convolution.x), read(o.convolution.w), no_bias, o.y_view);
    o.y.store();
  });
  return false;
}

void data_gradient(const Convolution& c, const void* dy, const void* w, void* dx) {
  if (only_counted()) return;
  emulation::submit([=] {
    if (takes_patches(c)) {
      FloatTensors t(c, dx, w, dy);
      convolve_patches_data_gradient<float>(by_patches(c), t.y.data(), t.w.data(), t.x.data());
      return t.x.store();
    }
    Operands o(c, dx, w, dy);
    Correlation size = o.convolution.correlation;
    std::swap(size.in, size.out);
    const auto& [data, out, in, row, column] = o.convolution.w;
    const WeightView<const float> flipped{data + (size.kernel - 1) * (row + column), in, out, -row, -column};
    const float* no_bias = nullptr;
    correlate(size, read(o.y_view), flipped, no_bias, o.convolution.x);
    o.x.store();
  });
}

void weight_gradient(const Convolution& c, const void* x, const void* dy, void* dw) {
  if (only_counted()) return;
  emulation::submit([=] {
    if (takes_patches(c)) {
      FloatTensors t(c, x, dw, dy);
      convolve_patches_weight_gradient<float>(by_patches(c), t.x.data(), t.y.data(), t.w.data());
      return t.w.store();
    }
    Operands o(c, x, dw, dy);
    float* no_bias = nullptr;
    correlate_weight_gradient(o.convolution.correlation, read(o.convolution.x), read(o.y_view), o.convolution.w,
                              no_bias);
    o.w.store();
  });
}

}  // namespace cudnn

void cublas::multiply(const Product& p, const void* a, const void* b, void* y) {
  if (only_counted()) return;
  emulation::submit([=] {
    const auto run = [&]<class T>(const T* a_, const T* b_, T* y_) {
      gt::multiply(p.m, p.n, p.k, a_, p.transpose_a, b_, p.transpose_b, y_);
    };
    if (p.dtype == DType::f64)
      return run(static_cast<const double*>(a), static_cast<const double*>(b), static_cast<double*>(y));
    Floats from_a(p.dtype, a, p.m * p.k), from_b(p.dtype, b, p.k * p.n), to(p.dtype, y, p.m * p.n);
    run(static_cast<const float*>(from_a.data()), static_cast<const float*>(from_b.data()), to.data());
    to.store();
  });
}

}  // namespace gt

#endif
