// Rows of the op table: convolutions, pooling, matrix product. They are compared with their definitions as plain loops,
// with sums in double. A list of (output, input, weight) triples gives value and gradients, so that no formula is
// shared with the ops.

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/cases/op_case.h"

namespace gt {

namespace {

/// Calls its argument for every product x[ix] w[iw] that y[iy] is a sum of.
using Triples = std::function<void(const std::function<void(int64_t iy, int64_t ix, int64_t iw)>&)>;

/// y[iy] = sum of its products + bias[iy % K], with a gradient. bias (K) may be undefined.
Tensor sum_of_products(Shape shape, const Triples& each, const Tensor& x, const Tensor& w, const Tensor& bias) {
  const Tensor x64 = x.cast(DType::f64), w64 = w.cast(DType::f64);
  Tensor y = Tensor::zeros(shape, DType::f64);
  const double *xs = x64.data<double>(), *ws = w64.data<double>();
  double* ys = y.data<double>();
  const int64_t outputs = shape.back();
  each([&](int64_t iy, int64_t ix, int64_t iw) { ys[iy] += xs[ix] * ws[iw]; });
  if (bias.defined()) {
    const Tensor b = bias.cast(DType::f64);
    for (int64_t i = 0; i < y.size(); ++i) ys[i] += b.data<double>()[i % outputs];
  }
  return record("sum_of_products", y.cast(x.dtype()), {x, w, bias},
                [=, dtype = x.dtype(), has_bias = bias.defined()](const Tensor& dy) -> Tensors {
                  const Tensor dy64 = dy.cast(DType::f64);
                  Tensor dx = Tensor::zeros(x64.shape(), DType::f64), dw = Tensor::zeros(w64.shape(), DType::f64);
                  Tensor dbias = Tensor::zeros({outputs}, DType::f64);
                  const double *dys = dy64.data<double>(), *xs = x64.data<double>(), *ws = w64.data<double>();
                  each([&](int64_t iy, int64_t ix, int64_t iw) {
                    dx.data<double>()[ix] += dys[iy] * ws[iw];
                    dw.data<double>()[iw] += dys[iy] * xs[ix];
                  });
                  for (int64_t i = 0; i < dy64.size(); ++i) dbias.data<double>()[i % outputs] += dys[i];
                  return {dx.cast(dtype), dw.cast(dtype), has_bias ? dbias.cast(dtype) : Tensor{}};
                });
}

Tensor naive_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride = 1) {
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3), K = w.dim(0), R = w.dim(2);
  const int64_t h = (H + stride - 1) / stride, v_count = (W + stride - 1) / stride;
  const auto each = [=](const auto& f) {
    for (int64_t b = 0; b < B; ++b)
      for (int64_t r = 0; r < h; ++r)
        for (int64_t p = 0; p < v_count; ++p)
          for (int64_t i = 0; i < R; ++i)
            for (int64_t j = 0; j < R; ++j) {
              const int64_t u = stride * r + i - R / 2, v = stride * p + j - R / 2;
              if (u < 0 || u >= H || v < 0 || v >= W) continue;
              for (int64_t k = 0; k < K; ++k)
                for (int64_t c = 0; c < C; ++c)
                  f(((b * h + r) * v_count + p) * K + k, ((b * H + u) * W + v) * C + c, ((k * C + c) * R + i) * R + j);
            }
  };
  return sum_of_products({B, h, v_count, K}, each, x, w, bias);
}

Tensor naive_conv_transpose2x2(const Tensor& x, const Tensor& w, const Tensor& bias) {
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3), K = w.dim(1);
  const auto each = [=](const auto& f) {
    for (int64_t b = 0; b < B; ++b)
      for (int64_t u = 0; u < 2 * H; ++u)
        for (int64_t v = 0; v < 2 * W; ++v)
          for (int64_t k = 0; k < K; ++k)
            for (int64_t c = 0; c < C; ++c)
              f(((b * 2 * H + u) * 2 * W + v) * K + k, ((b * H + u / 2) * W + v / 2) * C + c,
                ((c * K + k) * 2 + u % 2) * 2 + v % 2);
  };
  return sum_of_products({B, 2 * H, 2 * W, K}, each, x, w, bias);
}

Tensor naive_matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  const int64_t M = a.dim(transpose_a), K = a.dim(!transpose_a), N = b.dim(!transpose_b);
  const auto each = [=](const auto& f) {
    for (int64_t m = 0; m < M; ++m)
      for (int64_t n = 0; n < N; ++n)
        for (int64_t k = 0; k < K; ++k)
          f(m * N + n, transpose_a ? k * M + m : m * K + k, transpose_b ? n * K + k : k * N + n);
  };
  return sum_of_products({M, N}, each, a, b, {});
}

/// Sums only the largest element of each block, with weight 1, so that its gradient goes to that element.
Tensor naive_max_pool2x2(const Tensor& x) {
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  const Tensor x64 = x.cast(DType::f64);
  std::vector<int64_t> from;
  for (int64_t row = 0; row < B * H; row += 2)
    for (int64_t p = 0; p < W; p += 2)
      for (int64_t c = 0; c < C; ++c) {
        int64_t best = (row * W + p) * C + c;
        for (const int64_t i : {best + C, best + W * C, best + W * C + C})
          if (x64.data<double>()[i] > x64.data<double>()[best]) best = i;
        from.push_back(best);
      }
  const auto each = [from](const auto& f) {
    for (size_t i = 0; i < from.size(); ++i) f(int64_t(i), from[i], 0);
  };
  return sum_of_products({B, H / 2, W / 2, C}, each, x, Tensor::full({1}, 1, x.dtype()), {});
}

/// Sums only the first largest element of each window, as naive_max_pool2x2().
Tensor naive_max_pool3x3(const Tensor& x) {
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  const Tensor x64 = x.cast(DType::f64);
  const double* v = x64.data<double>();
  std::vector<int64_t> from;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t r = 0; r < H; r += 2)
      for (int64_t p = 0; p < W; p += 2)
        for (int64_t c = 0; c < C; ++c) {
          int64_t best = -1;
          for (int64_t u = std::max<int64_t>(r - 1, 0); u <= std::min(r + 1, H - 1); ++u)
            for (int64_t q = std::max<int64_t>(p - 1, 0); q <= std::min(p + 1, W - 1); ++q)
              if (const int64_t i = ((b * H + u) * W + q) * C + c; best < 0 || v[i] > v[best]) best = i;
          from.push_back(best);
        }
  const auto each = [from](const auto& f) {
    for (size_t i = 0; i < from.size(); ++i) f(int64_t(i), from[i], 0);
  };
  return sum_of_products({B, H / 2, W / 2, C}, each, x, Tensor::full({1}, 1, x.dtype()), {});
}

/// The 3 x 3 convolutions of kvasir_small.yaml at 128 pixels, and the largest of kvasir.yaml.
std::vector<Sizes> conv3x3_sizes() {
  return {{8, 128, 128, 3, 16, 1},  {8, 128, 128, 16, 16, 1}, {8, 64, 64, 32, 32, 1},   {8, 32, 32, 64, 64, 1},
          {8, 16, 16, 128, 128, 1}, {8, 8, 8, 256, 256, 1},   {8, 128, 128, 48, 16, 1}, {8, 224, 224, 3, 64, 1},
          {8, 224, 224, 64, 64, 1}, {8, 28, 28, 512, 512, 1}};
}

/// Sizes: B, H, W, C, K, and 1 with a bias, 0 without.
OpCase conv2d_case(const std::string& name, int64_t kernel, ConvolutionMethod method, std::vector<Sizes> large) {
  const double taps = double(kernel * kernel);
  return {
      .name = name,
      .sizes = {{1, 1, 1, 1, 1, 1},
                {2, 1, 5, 3, 2, 1},
                {1, 7, 1, 5, 16, 0},
                {1, 3, 4, 16, 17, 1},
                {2, 9, 7, 17, 33, 1},
                {1, 5, 31, 3, 16, 1},
                {3, 6, 15, 20, 48, 1},
                {1, 4, 3, 33, 80, 0},
                {1, 2, 3, 70, 3, 1},
                {1, 45, 26, 2, 33, 1},
                {2, 9, 13, 20, 1, 1},
                {1, 7, 5, 33, 1, 1},
                {1, 30, 41, 136, 1, 0}},
      .large = std::move(large),
      .inputs = [=](const Sizes& s, Maker& make) -> Tensors {
        Tensors t = {
            make.param(make.normal({s[0], s[1], s[2], s[3]})),
            make.param(make.compute(make.normal({s[4], s[3], kernel, kernel}, 1 / std::sqrt(taps * double(s[3])))))};
        t.push_back(s[5] ? make.param(make.compute(make.normal({s[4]}))) : Tensor{});
        return t;
      },
      .op = [=](const Tensors& t) -> Tensors { return {conv2d(t[0], t[1], t[2], {.convolution = method})}; },
      .composed = [](const Tensors& t) -> Tensors { return {naive_conv2d(t[0], t[1], t[2])}; },
      .wrong =
          [] {
            conv2d(Tensor::zeros({1, 4, 4, 3}), Tensor::zeros({2, 4, 3, 3}), {});
          },
      .cost = [=](const Sizes& s) -> Cost {
        const double pixels = double(s[0] * s[1] * s[2]), in = double(s[3]), out = double(s[4]);
        return {4 * (pixels * (in + out) + taps * in * out), 2 * taps * pixels * in * out};
      },
      .backward = [=](const Sizes& s) -> Cost {
        const double pixels = double(s[0] * s[1] * s[2]), in = double(s[3]), out = double(s[4]);
        return {4 * (pixels * (2 * in + out) + 2 * taps * in * out), 4 * taps * pixels * in * out};
      },
      .f32_tolerance = method == ConvolutionMethod::winograd ? 5e-5 : 1e-5,
      .bf16_activations = true};
}

/// Sizes: B, H, W, C, K, and 1 with a bias, 0 without.
OpCase conv_transpose_case() {
  return {.name = "conv_transpose2x2",
          .sizes = {{1, 1, 1, 1, 1, 1},
                    {2, 1, 3, 5, 2, 1},
                    {1, 5, 2, 16, 17, 0},
                    {2, 4, 7, 33, 16, 1},
                    {1, 2, 3, 3, 70, 1},
                    {2, 5, 31, 3, 33, 1}},
          .large = {{8, 8, 8, 256, 128, 1},
                    {8, 16, 16, 128, 64, 1},
                    {8, 32, 32, 64, 32, 1},
                    {8, 64, 64, 32, 32, 1},
                    {8, 112, 112, 64, 64, 1}},
          .inputs = [](const Sizes& s, Maker& make) -> Tensors {
            Tensors t = {make.param(make.normal({s[0], s[1], s[2], s[3]})),
                         make.param(make.compute(make.normal({s[3], s[4], 2, 2}, 1 / std::sqrt(double(s[3])))))};
            t.push_back(s[5] ? make.param(make.compute(make.normal({s[4]}))) : Tensor{});
            return t;
          },
          .op = [](const Tensors& t) -> Tensors { return {conv_transpose2x2(t[0], t[1], t[2])}; },
          .composed = [](const Tensors& t) -> Tensors { return {naive_conv_transpose2x2(t[0], t[1], t[2])}; },
          .wrong =
              [] {
                conv_transpose2x2(Tensor::zeros({1, 4, 4, 3}), Tensor::zeros({3, 2, 3, 3}), {});
              },
          .cost = [](const Sizes& s) -> Cost {
            const double pixels = double(s[0] * s[1] * s[2]), in = double(s[3]), out = double(s[4]);
            return {4 * (pixels * (in + 4 * out) + 4 * in * out), 8 * pixels * in * out};
          },
          .backward = [](const Sizes& s) -> Cost {
            const double pixels = double(s[0] * s[1] * s[2]), in = double(s[3]), out = double(s[4]);
            return {4 * (pixels * (2 * in + 4 * out) + 8 * in * out), 16 * pixels * in * out};
          },
          .bf16_activations = true};
}

/// Sizes: B, H, W, C, K, and 1 with a bias, 0 without.
OpCase conv2d_strided_case(int64_t kernel, int64_t stride, std::vector<Sizes> large) {
  const auto products = [=](const Sizes& s) {
    return double(s[0] * ((s[1] + stride - 1) / stride) * ((s[2] + stride - 1) / stride)) * double(s[3] * s[4]) *
           double(kernel * kernel);
  };
  const auto bytes = [=](const Sizes& s) {
    const double y = double(s[0] * ((s[1] + stride - 1) / stride) * ((s[2] + stride - 1) / stride) * s[4]);
    return std::array{double(s[0] * s[1] * s[2] * s[3]), double(s[3] * s[4] * kernel * kernel), y};
  };
  return {.name = str_cat("conv2d_strided ", kernel, "x", kernel, " stride ", stride),
          .sizes = {{1, 1, 1, 1, 1, 1},
                    {2, 1, 5, 3, 2, 1},
                    {1, 8, 6, 5, 16, 0},
                    {2, 9, 7, 17, 33, 1},
                    {1, 16, 12, 3, 4, 1},
                    {1, 6, 10, 70, 3, 0}},
          .large = std::move(large),
          .inputs = [=](const Sizes& s, Maker& make) -> Tensors {
            const double deviation = 1 / std::sqrt(double(kernel * kernel * s[3]));
            Tensors t = {make.param(make.normal({s[0], s[1], s[2], s[3]})),
                         make.param(make.compute(make.normal({s[4], s[3], kernel, kernel}, deviation)))};
            t.push_back(s[5] ? make.param(make.compute(make.normal({s[4]}))) : Tensor{});
            return t;
          },
          .op = [=](const Tensors& t) -> Tensors { return {conv2d_strided(t[0], t[1], t[2], stride)}; },
          .composed = [=](const Tensors& t) -> Tensors { return {naive_conv2d(t[0], t[1], t[2], stride)}; },
          .wrong =
              [=] {
                conv2d_strided(Tensor::zeros({1, 4, 4, 2}), Tensor::zeros({1, 2, 5, 5}), {}, stride);
              },
          .cost = [=](const Sizes& s) -> Cost {
            const auto [x, w, y] = bytes(s);
            return {4 * (x + w + y), 2 * products(s)};
          },
          .backward = [=](const Sizes& s) -> Cost {
            const auto [x, w, y] = bytes(s);
            return {4 * (2 * x + 2 * w + y), 4 * products(s)};
          },
          .bf16_activations = true};
}

using Pooling = Tensor (*)(const Tensor& x);

/// A maximum over windows that halves both sides. Its FLOPs are those of an output, forward and backward. Sizes: B, H,
/// W, C.
OpCase pooling_case(const char* name, Pooling pool, Pooling naive, const std::vector<Sizes>& large, double forward,
                    double backward) {
  const auto cost = [](double flops) {
    return [flops](const Sizes& s) -> Cost {
      const double outputs = double(s[0] * s[1] * s[2] * s[3]) / 4;
      return {21 * outputs, flops * outputs};
    };
  };
  return {.name = name,
          .sizes = {{1, 2, 2, 1}, {2, 4, 6, 3}, {1, 2, 10, 17}, {3, 34, 4, 16}, {1, 2, 600, 1}, {1, 2, 4, 1040}},
          .large = large,
          .inputs = [](const Sizes& s, Maker& make) -> Tensors {
            return {make.param(make.distinct({s[0], s[1], s[2], s[3]}))};
          },
          .op = [pool](const Tensors& t) -> Tensors { return {pool(t[0])}; },
          .composed = [naive](const Tensors& t) -> Tensors { return {naive(t[0])}; },
          .wrong =
              [pool] {
                pool(Tensor::zeros({1, 3, 4, 2}));
              },
          .cost = cost(forward),
          .backward = cost(backward),
          .bf16_activations = true};
}

/// Sizes: B, H, W, C.
OpCase max_pool_and_skip_case() {
  return {.name = "max_pool2x2_and_skip",
          .sizes = {{1, 2, 2, 1}, {2, 4, 6, 3}, {1, 2, 10, 17}, {3, 34, 4, 16}},
          .large = {{8, 128, 128, 16}, {8, 224, 224, 64}},
          .inputs = [](const Sizes& s, Maker& make) -> Tensors {
            return {make.param(make.distinct({s[0], s[1], s[2], s[3]}))};
          },
          .op = [](const Tensors& t) -> Tensors { return max_pool2x2_and_skip(t[0]); },
          .composed = [](const Tensors& t) -> Tensors {
            return {max_pool2x2(t[0]), reshape(t[0], t[0].shape())};
          },
          .wrong =
              [] {
                max_pool2x2_and_skip(Tensor::zeros({1, 3, 4, 2}));
              },
          .cost = [](const Sizes& s) -> Cost {
            const double outputs = double(s[0] * s[1] * s[2] * s[3]) / 4;
            return {21 * outputs, 3 * outputs};
          },
          .backward = [](const Sizes& s) -> Cost {
            const double n = double(s[0] * s[1] * s[2] * s[3]);
            return {37 * n / 4, n};
          },
          .fuses = true,
          .bf16_activations = true};
}

/// Sizes: M, N, K, transpose a, transpose b.
OpCase matmul_case() {
  return {.name = "matmul",
          .sizes = {{1, 1, 1, 0, 0},
                    {3, 5, 7, 0, 1},
                    {33, 1, 17, 1, 0},
                    {1, 40, 9, 1, 1},
                    {130, 60, 70, 0, 0},
                    {100, 65, 70, 1, 1}},
          .large = {{512, 512, 512, 0, 0}, {131072, 16, 48, 0, 1}},
          .inputs = [](const Sizes& s, Maker& make) -> Tensors {
            return {make.param(make.normal(s[3] ? Shape{s[2], s[0]} : Shape{s[0], s[2]})),
                    make.param(make.normal(s[4] ? Shape{s[1], s[2]} : Shape{s[2], s[1]})),
                    Tensor({0, s[3], s[4]}, DType::u8)};
          },
          .op = [](const Tensors& t) -> Tensors { return {matmul(t[0], t[1], t[2].dim(1), t[2].dim(2))}; },
          .composed = [](const Tensors& t) -> Tensors { return {naive_matmul(t[0], t[1], t[2].dim(1), t[2].dim(2))}; },
          .wrong =
              [] {
                matmul(Tensor::zeros({2, 3}), Tensor::zeros({3, 4}), false, true);
              },
          .cost = [](const Sizes& s) -> Cost {
            const double m = double(s[0]), n = double(s[1]), k = double(s[2]);
            return {4 * (m * k + k * n + m * n), 2 * m * n * k};
          },
          .backward = [](const Sizes& s) -> Cost {
            const double m = double(s[0]), n = double(s[1]), k = double(s[2]);
            return {4 * (2 * m * k + 2 * k * n + m * n), 4 * m * n * k};
          },
          .bf16_activations = true};
}

}  // namespace

std::vector<OpCase> dense_cases() {
  return {conv2d_case("conv2d 3x3", 3, ConvolutionMethod::direct, conv3x3_sizes()),
          conv2d_case("conv2d 3x3 winograd", 3, ConvolutionMethod::winograd, conv3x3_sizes()),
          conv2d_case("conv2d 1x1", 1, ConvolutionMethod::direct,
                      {{8, 128, 128, 16, 1, 1}, {8, 224, 224, 128, 1, 1}, {8, 64, 64, 64, 64, 1}}),
          conv2d_strided_case(1, 2, {{8, 56, 56, 64, 128, 1}}),
          conv2d_strided_case(3, 2, {{8, 56, 56, 64, 128, 1}}),
          conv2d_strided_case(7, 1, {{8, 56, 56, 64, 64, 1}}),
          conv2d_strided_case(7, 2, {{8, 224, 224, 3, 64, 1}}),
          conv_transpose_case(),
          pooling_case("max_pool2x2", max_pool2x2, naive_max_pool2x2,
                       {{8, 128, 128, 16}, {8, 16, 16, 128}, {8, 224, 224, 64}}, 3, 0),
          max_pool_and_skip_case(),
          pooling_case("max_pool3x3", max_pool3x3, naive_max_pool3x3, {{8, 112, 112, 64}}, 8, 5),
          matmul_case()};
}

}  // namespace gt
