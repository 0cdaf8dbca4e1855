// Rows of the op table: pointwise ops, sums and broadcasts, resize, normalisation. Most are compared with a product
// with a constant matrix.

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "kernels/cases/op_case.h"

namespace gt {
namespace {

const std::vector<Sizes> flat_sizes = {{1}, {17}, {31, 33}, {3, 5, 7}, {20011}};  // any shape
const std::vector<Sizes> pixel_sizes = {{1, 1},     {7, 3},    {5, 1, 64}, {130, 20},
                                        {1001, 17}, {2, 1025}, {3, 2, 300}};    // (..,C)
const std::vector<Sizes> image_sizes = {{8, 128, 128, 16}, {8, 224, 224, 64}};  // (B,H,W,C) of a training step

int64_t volume(const Sizes& sizes) { return Shape(sizes.begin(), sizes.end()).size(); }
Shape shape_of(const Sizes& sizes) { return Shape(sizes.begin(), sizes.end()); }
Shape pixels_of(const Sizes& sizes) { return Shape(sizes.begin(), sizes.end() - 1); }

/// The cost of `tensors` f32 tensors of the row's size and `flops` FLOPs an element.
std::function<Cost(const Sizes&)> per_element(double tensors, double flops) {
  return [=](const Sizes& s) { return Cost{4 * tensors * double(volume(s)), flops * double(volume(s))}; };
}

/// The matrix (rows,columns) of value(i, j), in the dtype of `like`.
Tensor matrix(int64_t rows, int64_t columns, const Tensor& like, const std::function<double(int64_t, int64_t)>& value) {
  Tensor m({rows, columns}, DType::f64);
  for (int64_t i = 0; i < rows * columns; ++i) m.data<double>()[i] = value(i / columns, i % columns);
  return m.cast(like.dtype());
}

Tensor ones(int64_t rows, int64_t columns, const Tensor& like) {
  return Tensor::full({rows, columns}, 1, like.dtype());
}

/// The elements of x, copied by a plain loop into a tensor of this shape and type, outside the graph.
Tensor loop_copy(const Tensor& x, const Shape& shape, DType dtype) {
  Tensor y(shape, dtype);
  visit_float(x.dtype(), [&]<class X>() {
    visit_float(dtype, [&]<class Y>() {
      for (int64_t i = 0; i < x.size(); ++i) y.data<Y>()[i] = Y(x.data<X>()[i]);
    });
  });
  return y;
}

/// cast() and reshape() by plain loops, forward and backward.
Tensor copy_by_loops(const Tensor& x, const Shape& shape, DType dtype) {
  return record(
      "copy_by_loops", loop_copy(x, shape, dtype), {x},
      [shape = x.shape(), dtype = x.dtype()](const Tensor& dy) -> Tensors { return {loop_copy(dy, shape, dtype)}; });
}

using Function = double (*)(double);

/// f of every element, by a plain loop in double, with derivative df.
Tensor map_by_loops(const Tensor& x, Function f, Function df) {
  const auto map = [](const Tensor& t, Function g) {
    Tensor y(t.shape(), t.dtype());
    visit_float(t.dtype(), [&]<class T>() {
      for (int64_t i = 0; i < t.size(); ++i) y.data<T>()[i] = T(g(double(t.data<T>()[i])));
    });
    return y;
  };
  return record("map_by_loops", map(x, f), {x},
                [map, df, x = x.detach()](const Tensor& dy) -> Tensors { return {mul(dy, map(x, df))}; });
}

double softplus_of(double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }
double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

/// x (..,C) as (P,C).
Tensor rows(const Tensor& x) { return reshape(x, {x.size() / x.dim(-1), x.dim(-1)}); }

using Unary = std::function<Tensor(const Tensor&)>;
using Binary = std::function<Tensor(const Tensor&, const Tensor&)>;

OpCase unary_case(const std::string& name, double flops, const Unary& op, const Unary& composed) {
  OpCase c;
  c.name = name;
  c.sizes = flat_sizes;
  c.large = image_sizes;
  c.inputs = [](const Sizes& s, Maker& m) { return Tensors{m.param(m.off_zero(shape_of(s)))}; };
  c.op = [=](const Tensors& x) { return Tensors{op(x[0])}; };
  if (composed) c.composed = [=](const Tensors& x) { return Tensors{composed(x[0])}; };
  c.wrong = [=] { op(Tensor::zeros({2, 2}, DType::u8)); };
  c.cost = per_element(2, flops);
  c.backward = per_element(3, flops);  // dy, x or y, dx
  return c;
}

OpCase binary_case(const std::string& name, const Binary& op, const Binary& composed) {
  OpCase c;
  c.name = name;
  c.sizes = flat_sizes;
  c.large = image_sizes;
  c.inputs = [](const Sizes& s, Maker& m) {
    return Tensors{m.param(m.normal(shape_of(s))), m.param(m.normal(shape_of(s)))};
  };
  c.op = [=](const Tensors& x) { return Tensors{op(x[0], x[1])}; };
  c.composed = [=](const Tensors& x) { return Tensors{composed(x[0], x[1])}; };
  c.wrong = [=] { op(Tensor({2, 3}), Tensor({3, 2})); };
  c.cost = per_element(3, 1);
  c.backward = per_element(3, 1);  // dy, da, db
  return c;
}

/// An op of x (..,C) and a second tensor of the shape second(sizes).
OpCase channels_case(const std::string& name, const std::function<Cost(const Sizes&)>& cost,
                     const std::function<Cost(const Sizes&)>& backward,
                     const std::function<Shape(const Sizes&)>& second, const Binary& op, const Binary& composed) {
  OpCase c;
  c.name = name;
  c.sizes = pixel_sizes;
  c.large = image_sizes;
  c.inputs = [=](const Sizes& s, Maker& m) {
    return Tensors{m.param(m.normal(shape_of(s))), m.param(m.normal(second(s)))};
  };
  c.op = [=](const Tensors& x) { return Tensors{op(x[0], x[1])}; };
  c.composed = [=](const Tensors& x) { return Tensors{composed(x[0], x[1])}; };
  c.wrong = [=] { op(Tensor({3, 5}), Tensor({4})); };
  c.cost = cost;
  c.backward = backward;
  return c;
}

std::vector<OpCase> functor_cases() {
  std::vector<OpCase> cases;
  const auto unary = [&](auto... row) { cases.push_back(unary_case(row...)); };
  const auto binary = [&](auto... row) { cases.push_back(binary_case(row...)); };

  binary("add", add, [](auto& a, auto& b) { return sub(a, scale(b, -1)); });
  binary("sub", sub, [](auto& a, auto& b) { return add(a, scale(b, -1)); });
  // a b = ((a + b)^2 - (a - b)^2) / 4
  binary("mul", mul, [](auto& a, auto& b) { return scale(sub(square(add(a, b)), square(sub(a, b))), 0.25); });
  cases.back().backward = per_element(5, 2);  // dy, a, b, da, db

  const auto constant = [](const Tensor& x, double value) { return Tensor::full(x.shape(), value, x.dtype()); };
  unary(
      "scale", 2, [](auto& x) { return scale(x, -1.7, 0.3); },
      [=](auto& x) { return add(mul(x, constant(x, -1.7)), constant(x, 0.3)); });
  cases.back().backward = per_element(2, 1);  // dy, dx
  unary(
      "exp", 1, [](auto& x) { return exp(x); }, [](auto& x) { return map_by_loops(x, std::exp, std::exp); });
  unary("square", 1, square, [](auto& x) { return mul(x, x); });
  unary("reciprocal", 1, reciprocal, [](auto& x) {
    return map_by_loops(
        x, [](double v) { return 1 / v; }, [](double v) { return -1 / (v * v); });
  });
  unary("sigmoid", 20, sigmoid, [](auto& x) { return exp(scale(softplus(scale(x, -1)), -1)); });
  unary("softplus", 40, softplus, [](auto& x) { return map_by_loops(x, softplus_of, sigmoid_of); });
  unary(
      "leaky_relu", 2, [](auto& x) { return leaky_relu(x, 0.1); },
      [](auto& x) { return add(mul(x, greater(x, 0)), scale(mul(x, less(x, 0)), 0.1)); });
  unary(
      "gaussian", 20, [](auto& d) { return gaussian(d, 0.7); },
      [](auto& d) { return exp(scale(square(d), -0.5 / (0.7 * 0.7))); });

  unary(
      "cast", 0, [](auto& x) { return cast(x, DType::f64); },
      [](auto& x) { return copy_by_loops(x, x.shape(), DType::f64); });
  cases.back().cost = cases.back().backward = per_element(3, 0);  // f64 counts twice

  // Ops without a gradient, as factors: x [x > 0] - x [x < 0] = |x|.
  OpCase c = unary_case(
      "greater_less", 5, [](auto& x) { return sub(mul(x, greater(x, 0)), mul(x, less(x, 0))); },
      [](auto& x) { return add(leaky_relu(x, 0), leaky_relu(scale(x, -1), 0)); });
  c.large = {};
  cases.push_back(c);

  // Only one of two inputs is differentiable.
  c = binary_case(
      "one_sided", [](auto& x, auto& y) { return concat(y, sub(mul(x, y), sub(y, mul(y, x)))); },
      [](auto& x, auto& y) { return concat(y, mul(scale(x, 2, -1), y)); });
  c.large = {};
  c.inputs = [](const Sizes& s, Maker& m) { return Tensors{m.param(m.normal(shape_of(s))), m.normal(shape_of(s))}; };
  cases.push_back(c);

  // Without a track the distance is infinite: value and gradient are 0.
  c = unary_case(
      "gaussian_infinite", 20, [](auto& d) { return gaussian(d, 0.7); }, nullptr);
  c.large = {};
  c.inputs = [](const Sizes& s, Maker& m) {
    const Tensor d = m.normal({volume(s), 1}), far = Tensor::full(d.shape(), INFINITY, d.dtype());
    return Tensors{m.param(concat(d, far))};
  };
  c.wrong = [] { gaussian(Tensor::zeros({2}), 0); };
  cases.push_back(c);
  return cases;
}

std::vector<OpCase> broadcast_cases() {
  std::vector<OpCase> cases;
  const auto total = [](const Tensor& x) {
    return reshape(matmul(reshape(x, {1, x.size()}), ones(x.size(), 1, x)), {});
  };
  cases.push_back(unary_case("sum", 1, sum, total));
  cases.push_back(unary_case("mean", 1, mean, [=](auto& x) { return scale(total(x), 1 / double(x.size())); }));
  for (OpCase& c : cases) c.cost = c.backward = per_element(1, 1);

  OpCase c = unary_case("sum_last", 1, sum_last, [](auto& x) {
    return reshape(matmul(rows(x), ones(x.dim(-1), 1, x)), pixels_of(x.shape().dims()));
  });
  c.sizes = pixel_sizes;
  c.wrong = [] { sum_last(Tensor::zeros({})); };
  c.cost = [](const Sizes& s) { return Cost{4 * double(volume(s)) * (1 + 1 / double(s.back())), double(volume(s))}; };
  c.backward = c.cost;
  cases.push_back(c);

  const auto channels = [](const Sizes& s) { return Shape{s.back()}; };
  const auto on_all_pixels = [](const Tensor& b, const Tensor& x) {  // (C) -> (..,C)
    return reshape(matmul(ones(x.size() / b.size(), 1, x), reshape(b, {1, b.size()})), x.shape());
  };
  cases.push_back(channels_case("add_channels", per_element(2, 1), per_element(1, 1), channels, add_channels,
                                [=](auto& x, auto& b) { return add(x, on_all_pixels(b, x)); }));
  cases.push_back(channels_case("mul_channels", per_element(2, 1), per_element(3, 3), channels, mul_channels,
                                [=](auto& x, auto& g) { return mul(x, on_all_pixels(g, x)); }));
  const auto cost = [](const Sizes& s) {
    return Cost{4 * double(volume(s)) * (2 + 1 / double(s.back())), double(volume(s))};
  };
  const auto backward = [](const Sizes& s) {
    return Cost{4 * double(volume(s)) * (3 + 2 / double(s.back())), 3 * double(volume(s))};
  };
  cases.push_back(channels_case("mul_pixels", cost, backward, pixels_of, mul_pixels, [](auto& x, auto& a) {
    return mul(x, reshape(matmul(reshape(a, {a.size(), 1}), ones(1, x.dim(-1), x)), x.shape()));
  }));

  const auto flat = [](const Tensor& x) { return reshape(x, Shape{x.size(), 1}); };
  c = unary_case("reshape", 0, flat, [](auto& x) { return copy_by_loops(x, {x.size(), 1}, x.dtype()); });
  c.large = {};
  c.wrong = [] { reshape(Tensor({2, 3}), {7}); };
  cases.push_back(c);
  return cases;
}

/// Sizes: the shape of a, then the channels of b. An even number of these has a bias.
OpCase concat_case() {
  OpCase c;
  c.name = "concat";
  c.bf16_activations = true;
  c.sizes = {{1, 1, 1}, {7, 3, 2}, {2, 3, 5, 64, 1}, {500, 17, 20}, {700, 4, 8}, {3, 8, 1040}};
  c.large = {{8, 128, 128, 16, 16}, {8, 224, 224, 64, 64}};
  c.inputs = [](const Sizes& s, Maker& m) {
    Shape a(s.begin(), s.end() - 1), b = a;
    b.back() = s.back();
    const Tensor bias = s.back() % 2 == 0 ? m.param(m.compute(m.normal({s.back()}))) : Tensor{};
    return Tensors{m.param(m.normal(a)), m.param(m.normal(b)), bias};
  };
  c.op = [](const Tensors& x) { return Tensors{concat(x[0], x[1], x[2])}; };
  c.composed = [](const Tensors& x) {
    const int64_t c1 = x[0].dim(-1), c2 = x[1].dim(-1);
    const Tensor left = matrix(c1, c1 + c2, x[0], [](int64_t i, int64_t j) { return i == j; });
    const Tensor right = matrix(c2, c1 + c2, x[0], [=](int64_t i, int64_t j) { return c1 + i == j; });
    Shape shape = x[0].shape();
    shape.back() = c1 + c2;
    const Tensor b = x[2].defined() ? add_channels(x[1], x[2]) : x[1];
    return Tensors{reshape(add(matmul(rows(x[0]), left), matmul(rows(b), right)), shape)};
  };
  c.wrong = [] { concat(Tensor({2, 3, 4}), Tensor({2, 2, 4})); };
  c.cost = [](const Sizes& s) {
    const double pixels = double(Shape(s.begin(), s.end() - 2).size());
    return Cost{4 * 2 * pixels * double(s[s.size() - 2] + s.back()), 0};
  };
  c.backward = c.cost;
  return c;
}

/// The maps (B,..) as (B+1,n), the last of which is 0.
Tensor with_zero_map(const Tensor& maps) {
  const int64_t size = maps.size() / maps.dim(0);
  const Tensor zeros = Tensor::zeros({1, size}, maps.dtype(), maps.device());
  return reshape(concat(reshape(maps, {1, maps.size()}), zeros), {maps.dim(0) + 1, size});
}

OpCase normalize_max_case() {
  OpCase c;
  c.name = "normalize_max";
  c.sizes = {{1, 1}, {1, 7}, {3, 5, 7}, {2, 33, 65}, {2, 5003}, {1, 90, 92}};
  c.large = {{8, 128, 128}, {8, 224, 224}};
  c.inputs = [](const Sizes& s, Maker& m) {
    const Tensor d = m.distinct(shape_of(s));  // in the fifth power, so that the largest values are far apart
    return Tensors{m.param(scale(mul(square(square(d)), d), 0.5, 0.6))};
  };
  c.op = [](const Tensors& x) { return Tensors{normalize_max(with_zero_map(x[0]))}; };
  c.composed = [](const Tensors& x) {
    const Tensor s = with_zero_map(x[0]);  // (B,n)
    const int64_t n = s.dim(1);
    const std::vector<double> v = s.cast(DType::f64).values<double>();
    const auto top = [&](int64_t b) {
      return std::max_element(v.begin() + b * n, v.begin() + (b + 1) * n) - v.begin();
    };
    const Tensor inverse =
        matrix(s.dim(0), 1, s, [&](int64_t b, int64_t) { return b + 1 < s.dim(0) ? 1 / v[size_t(top(b))] : 0; });
    const Tensor is_top = matrix(s.dim(0), n, s, [&](int64_t b, int64_t i) { return b * n + i == top(b); });
    // With k the maximum m as a constant, 1/m is (2 - m/k)/k to first order.
    const Tensor y = mul_pixels(s, reshape(inverse, {s.dim(0)}));
    return Tensors{mul_pixels(y, scale(sum_last(mul(y, is_top)), -1, 2))};
  };
  c.wrong = [] { normalize_max(Tensor::zeros({})); };
  c.cost = per_element(5, 2);      // s twice, y; and the concat() before it
  c.backward = per_element(5, 3);  // dy, y, ds; and the concat()
  return c;
}

/// Sizes: those of x (B,H,W,C), then the new height and width.
OpCase resize_case() {
  OpCase c;
  c.name = "resize_bilinear";
  c.sizes = {{1, 1, 1, 1, 1, 1},  {1, 1, 1, 3, 4, 5},   {2, 5, 7, 3, 10, 14},  {2, 9, 8, 1, 5, 3},
             {1, 6, 5, 17, 6, 5}, {3, 4, 3, 2, 1, 11},  {2, 3, 11, 33, 13, 2}, {1, 2, 300, 1, 3, 290},
             {2, 3, 5, 8, 7, 4},  {1, 2, 3, 520, 3, 5}, {1, 1, 2, 4, 2, 40}};
  c.large = {{8, 64, 64, 32, 128, 128}, {8, 112, 112, 64, 224, 224}, {8, 224, 224, 1, 128, 128}};
  c.inputs = [](const Sizes& s, Maker& m) {
    return Tensors{m.param(m.normal({s[0], s[1], s[2], s[3]})), Tensor({s[4], s[5]}, DType::u8)};
  };
  c.op = [](const Tensors& x) { return Tensors{resize_bilinear(x[0], x[1].dim(0), x[1].dim(1))}; };
  c.composed = [](const Tensors& x) {
    // One matrix from (B,H,W) to (B,H',W') of hat functions around the positions that are read.
    const int64_t b = x[0].dim(0), h = x[0].dim(1), w = x[0].dim(2), oh = x[1].dim(0), ow = x[1].dim(1);
    const auto hat = [](int64_t output, int64_t outputs, int64_t input, int64_t inputs) {
      const double position = (double(output) + 0.5) * double(inputs) / double(outputs) - 0.5;
      return std::max(0.0, 1 - std::fabs(std::clamp(position, 0.0, double(inputs - 1)) - double(input)));
    };
    const Tensor weights = matrix(b * oh * ow, b * h * w, x[0], [&](int64_t o, int64_t i) {
      if (o / (oh * ow) != i / (h * w)) return 0.0;
      return hat(o / ow % oh, oh, i / w % h, h) * hat(o % ow, ow, i % w, w);
    });
    return Tensors{reshape(matmul(weights, rows(x[0])), {b, oh, ow, x[0].dim(3)})};
  };
  c.wrong = [] { resize_bilinear(Tensor({2, 3, 4}), 2, 2); };
  c.cost = [](const Sizes& s) {
    const double in = double(s[0] * s[1] * s[2] * s[3]), out = double(s[0] * s[4] * s[5] * s[3]);
    return Cost{4 * (in + out), 3 * out + 3 * double(s[0] * s[4] * s[2] * s[3])};
  };
  c.backward = c.cost;
  return c;
}

/// group_norm() by matrix products. The averages over an image's group are P' (P x Q) Q' / n. P (B,BHW) and Q (C,G) are
/// matrices of zeros and ones.
Tensor composed_group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, int64_t groups) {
  const int64_t images = x.dim(0), pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  const Tensor p = matrix(images, images * pixels, x, [=](int64_t b, int64_t i) { return i / pixels == b; });
  const Tensor q = matrix(channels, groups, x, [=](int64_t c, int64_t g) { return c / (channels / groups) == g; });
  const auto average = [&](const Tensor& t) {
    const Tensor sums = matmul(matmul(p, t), q);
    return matmul(matmul(p, scale(sums, double(groups) / double(pixels * channels)), true), q, false, true);
  };
  const Tensor centred = sub(rows(x), average(rows(x))), variance = scale(average(square(centred)), 1, 1e-5);
  // With k = v^-1/2 as a constant, v^-1/2 is k (3 - v k^2) / 2 to first order.
  const std::vector<double> v = variance.cast(DType::f64).values<double>();
  const Tensor k = matrix(images * pixels, channels, x,
                          [&](int64_t i, int64_t c) { return 1 / std::sqrt(v[size_t(i * channels + c)]); });
  const Tensor rstd = mul(k, scale(mul(variance, square(k)), -0.5, 1.5));
  return reshape(add_channels(mul_channels(mul(centred, rstd), gamma), beta), x.shape());
}

/// Moves elements of x until no element of group_norm(x + bias) is within 0.02 of 0, where the activation has its kink.
void move_off_kinks(Tensor x, const Tensor& bias, const Tensor& gamma, const Tensor& beta, int64_t groups) {
  const NoGrad no_grad;
  for (int round = 0; round < 100; ++round) {
    bool moved = false;
    const std::vector<double> z = group_norm(add_channels(x, bias), gamma, beta, groups).values<double>();
    for (size_t i = 0; i < z.size(); ++i) {
      if (std::fabs(z[i]) >= 0.02) continue;
      x.data<double>()[i] += z[i] < 0 ? -0.1 : 0.1;
      moved = true;
    }
    if (!moved) return;
  }
  fail("group_norm_leaky_relu: after 100 rounds inputs are still near the kink");
}

/// Reads x and dy and writes dx. What is read again once the sums are known may come from caches.
Cost per_norm_backward(const Sizes& s) {
  const double n = double(s[0] * s[1] * s[2] * s[3]);
  return {4 * 3 * n, 12 * n};
}

/// Sizes: those of x (B,H,W,C), then the groups. The op with a bias also returns the bias. If a group is one channel,
/// the norm's gradient of the bias is 0, and its rounding error would have no scale.
OpCase norm_case(const std::string& name, double slope) {
  OpCase c;
  c.name = name;
  c.sizes = {{1, 1, 1, 8, 2},    {2, 3, 5, 6, 3},    {1, 4, 4, 20, 4},   {3, 7, 5, 16, 16},
             {2, 5, 3, 33, 1},   {2, 29, 31, 20, 4}, {2, 20, 33, 16, 4}, {1, 2, 2, 301, 7},
             {1, 1, 3, 1032, 4}, {1, 9, 11, 64, 4},  {300, 1, 1, 8, 2}};
  c.bf16_activations = true;
  c.large = {{8, 128, 128, 16, 4}, {8, 16, 16, 128, 4}, {8, 224, 224, 64, 4}, {32, 224, 224, 64, 4}};
  c.inputs = [=](const Sizes& s, Maker& m) {
    Maker in_double{DType::f64, m.random};
    const Shape shape{s[0], s[1], s[2], s[3]};
    const Tensor x = scale(in_double.normal(shape), 1.5, 0.7);
    const Tensor gamma = in_double.uniform({s[3]}, 0.7, 1.6), beta = in_double.uniform({s[3]}, -0.4, 0.4);
    const Tensor bias = in_double.uniform({s[3]}, -1, 1);
    if (slope != 1 && volume(s) < 1 << 20) move_off_kinks(x, bias, gamma, beta, s[4]);
    const auto parameter = [&](const Tensor& t) { return m.param(m.compute(t.cast(m.dtype))); };
    return Tensors{m.param(x.cast(m.dtype)), slope == 1 ? Tensor{} : parameter(bias), parameter(gamma), parameter(beta),
                   Tensor({s[4]}, DType::u8)};
  };
  c.op = [=](const Tensors& x) {
    const int64_t groups = x[4].size();
    if (slope == 1) return Tensors{group_norm(x[0], x[2], x[3], groups)};
    return Tensors{group_norm_leaky_relu(x[0], x[1], x[2], x[3], groups, slope), scale(x[1], 1)};
  };
  c.composed = [=](const Tensors& x) {
    const int64_t groups = x[4].size();
    if (slope == 1) return Tensors{composed_group_norm(x[0], x[2], x[3], groups)};
    return Tensors{leaky_relu(group_norm(add_channels(x[0], x[1]), x[2], x[3], groups), slope), scale(x[1], 1)};
  };
  c.wrong = [=] { group_norm_leaky_relu(Tensor({1, 2, 2, 6}), {}, Tensor({6}), Tensor({6}), 4, slope); };
  c.cost = [](const Sizes& s) {
    const double n = double(s[0] * s[1] * s[2] * s[3]);
    return Cost{4 * 2 * n, 7 * n};
  };
  c.backward = per_norm_backward;
  c.fuses = slope != 1;
  return c;
}

/// Sizes: the number of terms. Term i has the weight 0.3 i - 0.5.
OpCase weighted_sum_case() {
  OpCase c;
  c.name = "weighted_sum";
  c.sizes = {{1}, {2}, {5}, {16}};
  c.large = {{5}};
  const auto weights_of = [](size_t n) {
    std::vector<double> weights;
    for (size_t i = 0; i < n; ++i) weights.push_back(0.3 * double(i) - 0.5);
    return weights;
  };
  c.inputs = [](const Sizes& s, Maker& m) {
    Tensors terms;
    for (int64_t i = 0; i < s[0]; ++i) terms.push_back(m.param(m.normal({})));
    return terms;
  };
  c.op = [=](const Tensors& x) {
    const WeightedSum sum = weighted_sum(x, weights_of(x.size()));
    return Tensors{sum.total, sum.values};
  };
  c.composed = [=](const Tensors& x) {
    const std::vector<double> weights = weights_of(x.size());
    Tensor total = scale(x[0], weights[0]), values = reshape(x[0].detach(), {1});
    for (size_t i = 1; i < x.size(); ++i) {
      total = add(total, scale(x[i], weights[i]));
      values = concat(values, reshape(x[i].detach(), {1}));
    }
    return Tensors{total, concat(reshape(total.detach(), {1}), values)};
  };
  c.wrong = [] { weighted_sum({Tensor::zeros({}), Tensor::zeros({1})}, {1, 1}); };
  c.cost = [](const Sizes& s) { return Cost{4 * (2 * double(s[0]) + 2), 2 * double(s[0])}; };
  c.backward = [](const Sizes& s) { return Cost{4 * double(s[0]), double(s[0])}; };
  c.fuses = true;
  return c;
}

}  // namespace

std::vector<OpCase> pointwise_cases() {
  std::vector<OpCase> cases = functor_cases();
  const std::vector<OpCase> more = broadcast_cases();
  cases.insert(cases.end(), more.begin(), more.end());
  cases.insert(cases.end(), {concat_case(), normalize_max_case(), resize_case(), norm_case("group_norm", 1),
                             norm_case("group_norm_leaky_relu", 0.1), weighted_sum_case()});
  return cases;
}

}  // namespace gt
