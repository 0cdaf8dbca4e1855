// Rows of the op table: Track Attention, feature propagation, losses, augmentation of fixations.

#include <array>
#include <cmath>

#include "kernels/cases/packed_tracks.h"

namespace gt {
namespace {

// ---- Track Attention and losses -------------------------------------------------------------------------------------

/// F, w, b and the map; sizes are {B, H, W, C}.
Tensors attention_inputs(const Sizes& s, Maker& m) {
  return {m.param(m.normal({s[0], s[1], s[2], s[3]})), m.param(m.compute(m.normal({s[3]}, 0.3))),
          m.param(m.compute(m.normal({1}))), m.param(m.compute(m.uniform({s[0], s[1], s[2]}, 0, 1)))};
}

Tensors attention_inputs_without_map(const Sizes& s, Maker& m) {
  Tensors inputs = attention_inputs(s, m);
  inputs.pop_back();
  return inputs;
}

Tensors run_attention(const Tensors& x) { return track_attention(x[0], x[1], x[2], x.size() > 3 ? x[3] : Tensor{}); }

Tensors composed_attention(const Tensors& x) {
  const int64_t batch = x[0].dim(0), height = x[0].dim(1), width = x[0].dim(2);
  const Tensor dots = reshape(sum_last(mul_channels(x[0], x[1])), {batch, height, width, 1});
  const Tensor logits = reshape(add_channels(dots, x[2]), {batch, height, width});
  const Tensor attention = sigmoid(logits);
  Tensors y{mul_pixels(x[0], scale(attention, 1, 1)), attention};
  if (x.size() > 3) y.push_back(bce_with_logits(logits, x[3]));
  return y;
}

std::function<Cost(const Sizes&)> attention_cost(bool map) {
  return [=](const Sizes& s) {
    const double pixels = double(s[0] * s[1] * s[2]), channels = double(s[3]);
    return Cost{4 * pixels * (2 * channels + 1 + (map ? 1 : 0)), pixels * (4 * channels + (map ? 60 : 30))};
  };
}

/// Logits, targets and perhaps weights; sizes are the shape.
std::function<Tensors(const Sizes&, Maker&)> loss_inputs(bool weights) {
  return [=](const Sizes& s, Maker& m) {
    const Shape shape(s.begin(), s.end());
    Tensors inputs{m.param(m.normal(shape, 2)), m.param(m.uniform(shape, 0, 1))};
    if (weights) inputs.push_back(m.zero_one(shape, 0.7));
    return inputs;
  };
}

Tensor weighted(const Tensor& x, const Tensors& inputs) { return inputs.size() > 2 ? mul(x, inputs[2]) : x; }

Tensors composed_bce(const Tensors& x) {
  const Tensor losses = sub(softplus(x[0]), mul(x[1], x[0]));
  if (x.size() == 2) return {mean(losses)};
  const Tensor ones = Tensor::full(x[0].shape(), 1, x[0].dtype());
  const double counted = sum(weighted(ones, x)).item();
  return {scale(sum(weighted(losses, x)), counted > 0 ? 1 / counted : 0)};
}

/// a / b, element by element.
Tensor divide(const Tensor& a, const Tensor& b) {
  Tensor y = a.cast(DType::f64);
  const Tensor divisor = b.cast(DType::f64);
  for (int64_t i = 0; i < y.size(); ++i) y.data<double>()[i] /= divisor.data<double>()[i];
  return record("divide", y.cast(a.dtype()), {a, b}, [y, divisor](const Tensor& dy) -> Tensors {
    Tensor da = dy.cast(DType::f64), db = da.clone();
    for (int64_t i = 0; i < da.size(); ++i) {
      da.data<double>()[i] /= divisor.data<double>()[i];
      db.data<double>()[i] = -da.data<double>()[i] * y.data<double>()[i];
    }
    return {da.cast(dy.dtype()), db.cast(dy.dtype())};
  });
}

Tensors composed_dice(const Tensors& x) {
  const auto sum_images = [&](const Tensor& v) {
    return sum_last(reshape(weighted(v, x), {v.dim(0), v.size() / v.dim(0)}));
  };
  const Tensor p = sigmoid(x[0]);
  const Tensor both = scale(sum_images(mul(p, x[1])), 2, 1), each = scale(sum_images(add(p, x[1])), 1, 1);
  return {scale(mean(divide(both, each)), -1, 1)};
}

/// Reads F, dF' and A, and writes dF; with a map also reads it and writes its gradient.
std::function<Cost(const Sizes&)> attention_backward(bool map) {
  return [=](const Sizes& s) {
    const double pixels = double(s[0] * s[1] * s[2]), channels = double(s[3]);
    return Cost{4 * pixels * (3 * channels + 2 + (map ? 2 : 0)), pixels * 8 * channels};
  };
}

std::function<Cost(const Sizes&)> loss_cost(double tensors, double flops) {
  return [=](const Sizes& s) {
    const double n = double(Shape(s.begin(), s.end()).size());
    return Cost{4 * tensors * n, flops * n};
  };
}

// ---- feature_propagation --------------------------------------------------------------------------------------------

/// F and V; sizes are {B, H, W, C, K}. A pixel's features have one sign, so that no correlation is near 0, where the
/// clamp has its kink.
Tensors propagation_inputs(const Sizes& s, Maker& m) {
  const Shape features{s[0], s[1], s[2], s[3]}, values{s[0], s[1], s[2], s[4]};
  const Tensor signs = scale(m.zero_one({s[0], s[1], s[2]}), 2, -1);
  return {m.param(scale(mul_pixels(m.uniform(features, 0.3, 1), signs), 1 / std::sqrt(double(s[3])))),
          m.param(m.normal(values))};
}

/// The matrix (P,P) that gives every pixel the value `down` rows below and `right` columns to the right, 0 outside.
Tensor shift_matrix(const Shape& images, int64_t down, int64_t right, DType dtype) {
  const int64_t height = images[1], width = images[2], pixels = images[0] * height * width;
  Tensor shift = Tensor::zeros({pixels, pixels}, DType::f64);
  for (int64_t p = 0; p < pixels; ++p) {
    const int64_t y = p / width % height + down, x = p % width + right;
    if (y >= 0 && y < height && x >= 0 && x < width) shift.data<double>()[p * pixels + p + down * width + right] = 1;
  }
  return shift.cast(dtype);
}

Tensors composed_propagation(const Tensors& x) {
  const Shape shape = x[0].shape();
  const int64_t pixels = shape[0] * shape[1] * shape[2];
  const Tensor features = reshape(x[0], {pixels, shape[3]}), values = reshape(x[1], {pixels, x[1].dim(3)});
  Tensor sum, total;
  for (int64_t down = -4; down <= 4; down += 2)
    for (int64_t right = -4; right <= 4; right += 2) {
      const Tensor shift = shift_matrix(shape, down, right, x[0].dtype());
      const Tensor weight = exp(leaky_relu(sum_last(mul(features, matmul(shift, features))), 0));
      const Tensor part = mul_pixels(matmul(shift, values), weight);
      sum = sum.defined() ? add(sum, part) : part;
      total = total.defined() ? add(total, weight) : weight;
    }
  const Tensor ones = Tensor::full(total.shape(), 1, total.dtype());
  return {reshape(mul_pixels(sum, divide(ones, total)), x[1].shape())};
}

// ---- augment_fixations ----------------------------------------------------------------------------------------------

/// xy, offsets, geometry; sizes are {B, n}. Geometries rotate, scale, shear, mirror and shift at random.
Tensors moving_inputs(const Sizes& s, Maker& m) {
  const Tensor offsets = offsets_of(s);
  Tensor geometry({s[0], 2, 3}, DType::f64);
  for (int64_t b = 0; b < s[0]; ++b) {
    const double angle = m.random.uniform(-3, 3), sx = m.random.uniform(0.5, 2), sy = m.random.chance(0.5) ? 1 : -1;
    const std::array<double, 6> g{sx * std::cos(angle), -sy * std::sin(angle), m.random.uniform(-1, 1),
                                  sx * std::sin(angle), sy * std::cos(angle),  m.random.uniform(-1, 1)};
    std::copy(g.begin(), g.end(), geometry.data<double>() + 6 * b);
  }
  return {m.param(m.uniform({offsets.data<int32_t>()[s[0]], 2}, 0, 1)), offsets, geometry.cast(m.dtype)};
}

/// augment_fixations() as one product with the matrix of the inverse geometries.
Tensors composed_moving(const Tensors& x) {
  const int64_t count = x[0].dim(0);
  const Tensor geometry = x[2].cast(DType::f64);
  Tensor inverse = Tensor::zeros({2 * count, 2 * count}, DType::f64), shift({count, 2}, DType::f64);
  for (int64_t b = 0; b + 1 < x[1].dim(0); ++b)
    for (int64_t i = x[1].data<int32_t>()[b]; i < x[1].data<int32_t>()[b + 1]; ++i) {
      const double* g = geometry.data<double>() + 6 * b;
      const double determinant = g[0] * g[4] - g[1] * g[3];
      double *row_x = inverse.data<double>() + 2 * i * 2 * count + 2 * i, *row_y = row_x + 2 * count;
      row_x[0] = g[4] / determinant, row_x[1] = -g[1] / determinant;
      row_y[0] = -g[3] / determinant, row_y[1] = g[0] / determinant;
      shift.data<double>()[2 * i] = g[2], shift.data<double>()[2 * i + 1] = g[5];
    }
  const DType dtype = x[0].dtype();
  const Tensor centred = sub(x[0], shift.cast(dtype));
  return {reshape(matmul(inverse.cast(dtype), reshape(centred, {2 * count, 1})), x[0].shape())};
}

// ---- The rows -------------------------------------------------------------------------------------------------------

// On CUDA a pixel of at most 128 vectors of 16 bytes (bf16: 64) has 1, 2 or 4 of them a thread. Other pixels take
// another kernel, in blocks of 64 pixels.
const std::vector<Sizes> attention_cases = {{1, 1, 1, 1},   {2, 3, 5, 7},    {1, 9, 11, 20},  {2, 9, 17, 16},
                                            {3, 8, 12, 64}, {1, 6, 10, 136}, {1, 10, 13, 33}, {1, 2, 3, 300}};
const std::vector<Sizes> attention_steps = {{8, 128, 128, 16}, {8, 64, 64, 32}, {8, 224, 224, 64}, {32, 224, 224, 64}};
const std::vector<Sizes> loss_cases = {{1}, {3, 17}, {2, 5, 7}, {1, 29, 37}, {3, 40, 52}};
const std::vector<Sizes> loss_steps = {{8, 128, 128}, {8, 224, 224}, {512, 224, 224}};

std::vector<OpCase> attention_rows() {
  const auto wrong = [] { track_attention(Tensor({1, 4, 4, 3}), Tensor({4}), Tensor({1}), {}); };
  std::vector<OpCase> rows = {
      {"track_attention", attention_cases, attention_steps, attention_inputs, run_attention, composed_attention, wrong,
       attention_cost(true), attention_backward(true), true},
      {"track_attention, no map", attention_cases, attention_steps, attention_inputs_without_map, run_attention,
       composed_attention, wrong, attention_cost(false), attention_backward(false), true},
      {"track_attention, loss only",
       {{2, 5, 7, 20}},
       {},
       attention_inputs,
       only(2, run_attention),
       only(2, composed_attention),
       wrong,
       attention_cost(true)}};
  for (OpCase& row : rows) row.bf16_activations = true;
  return rows;
}

std::vector<OpCase> propagation_rows() {
  const auto propagate = [](const Tensors& x) -> Tensors { return {feature_propagation(x[0], x[1])}; };
  const auto wrong = [] { feature_propagation(Tensor({1, 4, 4, 3}), Tensor({1, 4, 5, 1})); };
  const auto work = [](double per_channel, double per_value, double channel_flops, double value_flops) {
    return [=](const Sizes& s) {
      const double pixels = double(s[0] * s[1] * s[2]), channels = double(s[3]), values = double(s[4]);
      return Cost{4 * pixels * (per_channel * channels + per_value * values + 25),
                  pixels * (channel_flops * channels + value_flops * values)};
    };
  };
  return {{"feature_propagation",
           {{1, 1, 1, 1, 1}, {2, 3, 5, 3, 1}, {1, 9, 11, 33, 2}, {2, 6, 7, 5, 40}, {1, 1, 10, 64, 1}},
           {{8, 96, 96, 8, 1}, {8, 224, 224, 128, 1}},
           propagation_inputs,
           propagate,
           composed_propagation,
           wrong,
           work(1, 2, 50, 50),
           work(2, 3, 50, 100)}};
}

std::vector<OpCase> loss_rows() {
  const auto weights = [](const Tensors& x) { return x.size() > 2 ? x[2] : Tensor{}; };
  const auto bce = [=](const Tensors& x) -> Tensors { return {bce_with_logits(x[0], x[1], weights(x))}; };
  const auto dice = [=](const Tensors& x) -> Tensors { return {dice_loss(x[0], x[1], weights(x))}; };
  const auto wrong_bce = [] { bce_with_logits(Tensor({2, 3}), Tensor({3, 2})); };
  const auto wrong_dice = [] { dice_loss(Tensor({2, 3}), Tensor({2, 3}), Tensor({3})); };
  return {{"bce_with_logits", loss_cases, loss_steps, loss_inputs(false), bce, composed_bce, wrong_bce,
           loss_cost(2, 50), loss_cost(4, 30), true},
          {"bce_with_logits, weights", loss_cases, loss_steps, loss_inputs(true), bce, composed_bce, wrong_bce,
           loss_cost(3, 52), loss_cost(5, 32)},
          {"dice_loss", loss_cases, loss_steps, loss_inputs(false), dice, composed_dice, wrong_dice, loss_cost(2, 30),
           loss_cost(4, 30)},
          {"dice_loss, weights", loss_cases, loss_steps, loss_inputs(true), dice, composed_dice, wrong_dice,
           loss_cost(3, 32), loss_cost(5, 32)}};
}

std::vector<OpCase> moving_rows() {
  const auto move = [](const Tensors& x) -> Tensors { return {augment_fixations(x[0], x[1], x[2])}; };
  const auto wrong = [] {
    augment_fixations(Tensor({4, 2}), Tensor::of<int32_t>({2}, {0, 4}), Tensor::zeros({2, 2, 3}));
  };
  const auto cost = [](const Sizes& s) { return Cost{double(12 * s[0] * s[1]), double(6 * s[0] * s[1])}; };
  return {{"augment_fixations",
           {{1, 1}, {3, 7}, {8, 40}},
           {{8, 40}},
           moving_inputs,
           move,
           composed_moving,
           wrong,
           cost,
           cost}};
}

}  // namespace

std::vector<OpCase> gaze_cases() {
  std::vector<OpCase> rows = attention_rows();
  for (const auto& more : {propagation_rows(), loss_rows(), moving_rows()})
    rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

}  // namespace gt
