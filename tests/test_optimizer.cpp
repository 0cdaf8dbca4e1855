// The steps of the optimisers against plain loops in double.
#include <cmath>
#include <functional>

#include "core/parallel.h"
#include "core/random.h"
#include "kernels/cases/check_op.h"
#include "kernels/ops.h"
#include "layers/optim.h"
#include "tests/catch.h"
#include "tests/differences.h"

using namespace gt;

namespace {

/// Small tensors, one without elements, and one of several blocks of the parallel loop.
const std::vector<Shape> shapes = {{1}, {16}, {3, 5, 7}, {0}, {40009}, {20, 3, 3, 3}};

Tensors random_tensors(DType dtype, Random random, double scale) {
  Tensors tensors;
  for (const Shape& shape : shapes) {
    Tensor t(shape, DType::f64);
    for (int64_t i = 0; i < t.size(); ++i) t.data<double>()[i] = scale * random.normal();
    tensors.push_back(t.cast(dtype));
  }
  return tensors;
}

Tensors zeros(DType dtype) { return random_tensors(dtype, Random(0), 0); }

using Step = std::function<void(const Tensors& p, const Tensors& g, const Tensors& a, const Tensors& b, int64_t step)>;
using Reference = std::function<void(double& p, double g, double& a, double& b, int64_t step)>;

/// Takes five steps with new gradients. Parameter 1 has no gradient in every second step. Returns the largest
/// difference of a parameter from the reference.
double worst_difference(DType dtype, const Step& step, const Reference& reference) {
  const Tensors p = random_tensors(dtype, Random(1), 1), a = zeros(dtype), b = zeros(dtype);
  std::vector<std::vector<double>> expected, first(shapes.size()), second(shapes.size());
  for (size_t k = 0; k < p.size(); ++k) {
    expected.push_back(p[k].cast(DType::f64).values<double>());
    first[k].resize(expected[k].size());
    second[k].resize(expected[k].size());
  }
  double worst = 0;
  for (int64_t t = 1; t <= 5; ++t) {
    Tensors g = random_tensors(dtype, Random(2, uint64_t(t)), 0.1);
    if (t % 2 == 0) g[1] = {};
    step(p, g, a, b, t);
    for (size_t k = 0; k < p.size(); ++k) {
      const std::vector<double> got = p[k].cast(DType::f64).values<double>();
      const std::vector<double> gradient = g[k].defined() ? g[k].cast(DType::f64).values<double>() : got;
      for (size_t i = 0; i < got.size(); ++i) {
        if (g[k].defined()) reference(expected[k][i], gradient[i], first[k][i], second[k][i], t);
        worst = larger_difference(worst, got[i], expected[k][i]);
      }
    }
  }
  return worst;
}

double tolerance(DType dtype) { return dtype == DType::f64 ? 1e-14 : 2e-6; }

}  // namespace

TEST_CASE("optimizer: SGD follows its formula", "[optimizer]") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const double momentum : {0.0, 0.9})
      for (const double decay : {0.0, 4e-2})
        for (const bool nesterov : {false, true}) {
          const double worst = worst_difference(
              dtype,
              [=](auto& p, auto& g, auto& v, auto&, int64_t) {
                sgd_step(p, g, v, sgd_rates(0.05, momentum, decay, nesterov));
              },
              [=](double& p, double g, double& v, double&, int64_t) {
                const double d = g + decay * p;
                v = momentum * v + d;
                p -= 0.05 * (nesterov ? d + momentum * v : v);
              });
          INFO(dtype << " momentum " << momentum << " decay " << decay << " nesterov " << nesterov);
          CHECK(worst < tolerance(dtype));
        }
}

TEST_CASE("optimizer: AdamW follows its formula", "[optimizer]") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const double decay : {0.0, 0.1}) {
      const AdamW options{.beta1 = 0.8, .beta2 = 0.99, .eps = 1e-7};
      const double worst = worst_difference(
          dtype,
          [=](auto& p, auto& g, auto& m, auto& v, int64_t t) {
            adamw_step(p, g, m, v, adamw_rates(t, 0.02, decay, options));
          },
          [=](double& p, double g, double& m, double& v, int64_t t) {
            m = 0.8 * m + 0.2 * g;
            v = 0.99 * v + 0.01 * g * g;
            const double m_hat = m / (1 - std::pow(0.8, double(t))), v_hat = v / (1 - std::pow(0.99, double(t)));
            p -= 0.02 * (m_hat / (std::sqrt(v_hat) + 1e-7) + decay * p);
          });
      INFO(dtype << " decay " << decay);
      CHECK(worst < tolerance(dtype));
    }
}

TEST_CASE("optimizer: the average of weights follows its formula", "[optimizer]") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const double decay : {0.0, 0.75, 1.0}) {
      const double worst = worst_difference(
          dtype,
          [=](auto& p, auto& g, auto&, auto&, int64_t) {
            Tensors by = g;
            if (!by[1].defined()) by[1] = p[1].clone();
            average_step(p, by, average_rates(decay));
          },
          [=](double& p, double g, double&, double&, int64_t) { p = decay * p + (1 - decay) * g; });
      INFO(dtype << " decay " << decay);
      CHECK(worst < tolerance(dtype));
    }
  CHECK_THROWS_AS(average_rates(1.5), Error);
}

TEST_CASE("optimizer: the first steps of a model's average have a smaller decay", "[optimizer]") {
  Parameters weights(1, DType::f64), averages(1, DType::f64);
  Tensor p = weights.constant("w", {1}, 3);
  const Tensor a = averages.constant("w", {1}, 0);
  WeightAverage average(0.15, weights, averages);
  CHECK(a.item() == 3);
  double expected = 3;
  for (int t = 0; t < 4; ++t) {
    p.data<double>()[0] = t;
    average.prepare();
    average.update();
    const double decay = std::min(0.15, (1.0 + t) / (10.0 + t));  // 0.1, then 0.15
    expected = decay * expected + (1 - decay) * t;
    CHECK(a.item() == Approx(expected));
  }
  CHECK(average.state()[0].first == "average.w");
}

TEST_CASE("optimizer: clipping limits the norm of all gradients together", "[optimizer]") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tensors g = random_tensors(dtype, Random(2), 100);
    g[1] = {};
    double squares = 0;
    for (const Tensor& t : g)
      if (t.defined())
        for (const double v : t.cast(DType::f64).values<double>()) squares += v * v;
    const double norm = std::sqrt(squares);
    REQUIRE(norm > 1000);
    const Tensor clip = Tensor::zeros({2}, DType::f64);
    const auto step = [&](const Tensors& gradients, const Tensor& by) {
      const Tensors p = random_tensors(dtype, Random(1), 1);
      sgd_step(p, gradients, zeros(dtype), sgd_rates(0.1, 0.9, 0.1), by);
      adamw_step(p, gradients, zeros(dtype), zeros(dtype), adamw_rates(1, 0.1, 0.1), by);
      return p;
    };
    clip_by_norm(g, 2 * norm, clip);
    CHECK(clip.data<double>()[0] == Approx(norm).epsilon(1e-12));
    CHECK(clip.data<double>()[1] == 1);
    const Tensors plain = step(g, {}), unlimited = step(g, clip);
    for (size_t k = 0; k < plain.size(); ++k) CHECK(same_bits(unlimited[k], plain[k]));

    clip_by_norm(g, 0.5, clip);
    CHECK(clip.data<double>()[0] == Approx(norm).epsilon(1e-12));
    CHECK(clip.data<double>()[1] == Approx(0.5 / norm).epsilon(1e-12));
    Tensors scaled;
    for (const Tensor& t : g) scaled.push_back(t.defined() ? scale(t, 0.5 / norm) : t);
    const Tensors limited = step(g, clip), expected = step(scaled, {});
    double worst = 0;
    for (size_t k = 0; k < limited.size(); ++k) {
      const std::vector<double> a = limited[k].cast(DType::f64).values<double>(),
                                b = expected[k].cast(DType::f64).values<double>();
      for (size_t i = 0; i < a.size(); ++i) worst = larger_difference(worst, a[i], b[i]);
    }
    INFO(dtype);
    CHECK(worst < tolerance(dtype));
  }
}

TEST_CASE("optimizer: the norm for clipping has the same bits for every number of threads", "[optimizer]") {
  const int threads = num_threads();
  const Tensors g = random_tensors(DType::f32, Random(2), 1);
  const Tensor first = Tensor::zeros({2}, DType::f64), clip = first.clone();
  for (const int n : {1, 2, 3, 5}) {
    set_num_threads(n);
    clip_by_norm(g, 1, n == 1 ? first : clip);
    CHECK((n == 1 || same_bits(clip, first)));
  }
  set_num_threads(threads);
  clip_by_norm({Tensor{}}, 1, clip);
  CHECK(clip.values<double>() == std::vector<double>{0, 1});
  CHECK_THROWS_AS(clip_by_norm(g, 0, clip), Error);
  CHECK_THROWS_AS(clip_by_norm(g, 1, Tensor::zeros({2})), Error);
  CHECK_THROWS_AS(clip_by_norm({g[0], g[1].cast(DType::f64)}, 1, clip), Error);
  CHECK_THROWS_AS(sgd_step({g[0]}, {g[0]}, {g[0]}, sgd_rates(0.1, 0, 0), Tensor::zeros({1}, DType::f64)), Error);
}

TEST_CASE("optimizer: a huge gradient moves the parameters by the rate times the limit", "[optimizer]") {
  Parameters parameters(1, DType::f64);
  const Tensor x = parameters.constant("x", {2}, 0), y = parameters.constant("y", {1}, 0);
  OptimizerOptions options;
  options.momentum = options.weight_decay = 0, options.clip = 5;
  Optimizer optimizer(options, parameters);
  const auto step = [&](double factor) {  // the gradient is factor (3, 3, sqrt(7)), of norm 5 factor
    backward(add(scale(sum(x), 3 * factor), scale(sum(y), std::sqrt(7) * factor)));
    optimizer.prepare(0.1);
    optimizer.update();
  };
  step(1e12);
  CHECK(x.data<double>()[0] == Approx(-0.3));
  CHECK(y.data<double>()[0] == Approx(-0.1 * std::sqrt(7)));
  CHECK(optimizer.clip().data<double>()[0] == Approx(5e12));
  step(0.5);
  CHECK(x.data<double>()[1] == Approx(-0.45));
  CHECK(optimizer.clip().data<double>()[1] == 1);
}

TEST_CASE("optimizer: a parameter without a gradient and its state stay unchanged", "[optimizer]") {
  const Tensor p = Tensor::full({3}, 2), m = Tensor::full({3}, 5), v = Tensor::full({3}, 7);
  sgd_step({p}, {Tensor{}}, {m}, sgd_rates(0.1, 0.9, 0.1));
  adamw_step({p}, {Tensor{}}, {m}, {v}, adamw_rates(1, 0.1, 0.1));
  CHECK(p.values<float>() == std::vector<float>(3, 2));
  CHECK(m.values<float>() == std::vector<float>(3, 5));
  CHECK(v.values<float>() == std::vector<float>(3, 7));
  CHECK_NOTHROW(sgd_step({}, {}, {}, sgd_rates(0.1, 0.9, 0.1)));
}

TEST_CASE("optimizer: with a zero gradient, a step shrinks parameters by rate times decay", "[optimizer]") {
  const Tensor p = Tensor::full({2}, 1, DType::f64), g = Tensor::zeros({2}, DType::f64);
  const Tensor m = g.clone(), v = g.clone();
  adamw_step({p}, {g}, {m}, {v}, adamw_rates(1, 0.1, 0.5));
  CHECK(p.data<double>()[1] == Approx(0.95));
  sgd_step({p}, {g}, {m}, sgd_rates(0.1, 0.9, 0.5));
  CHECK(p.data<double>()[1] == Approx(0.95 * 0.95));
}

TEST_CASE("optimizer: every number of threads gives the same bits, and a step allocates no memory", "[optimizer]") {
  const int threads = num_threads();
  std::vector<float> first;
  for (const int n : {1, 3}) {
    set_num_threads(n);
    const Tensors p = random_tensors(DType::f32, Random(1), 1), g = random_tensors(DType::f32, Random(2), 1);
    const Tensors m = zeros(DType::f32), v = zeros(DType::f32);
    const Tensor adamw = adamw_rates(1, 0.1, 0.1), sgd = sgd_rates(0.1, 0.9, 0.1);
    reset_peak_bytes();
    const int64_t before = live_bytes();
    adamw_step(p, g, m, v, adamw);
    sgd_step(p, g, m, sgd);
    CHECK(peak_bytes() == before);
    const std::vector<float> now = p[4].values<float>();
    if (n == 1) first = now;
    CHECK(now == first);
  }
  set_num_threads(threads);
}

TEST_CASE("optimizer: wrong shapes, types and rates are refused", "[optimizer]") {
  const Tensor p = Tensor::zeros({3}), wrong_shape = Tensor::zeros({4}), wrong_type = Tensor::zeros({3}, DType::f64);
  CHECK_THROWS_AS(sgd_step({p}, {p}, {}, sgd_rates(0.1, 0.9, 0)), Error);
  CHECK_THROWS_AS(sgd_step({p}, {Tensor{}}, {Tensor{}}, sgd_rates(0.1, 0.9, 0)), Error);
  for (const Tensor& wrong : {wrong_shape, wrong_type}) {
    CHECK_THROWS_AS(sgd_step({p}, {wrong}, {p}, sgd_rates(0.1, 0.9, 0)), Error);
    CHECK_THROWS_AS(sgd_step({p}, {p}, {wrong}, sgd_rates(0.1, 0.9, 0)), Error);
    CHECK_THROWS_AS(adamw_step({p}, {p}, {p}, {wrong}, adamw_rates(1, 0.1, 0)), Error);
    CHECK_THROWS_AS(sgd_step({p, wrong_type}, {p, wrong}, {p, wrong}, sgd_rates(0.1, 0.9, 0)), Error);
  }
  CHECK_THROWS_AS(adamw_rates(0, 0.1, 0), Error);
  CHECK_THROWS_AS(sgd_step({p}, {p}, {p}, adamw_rates(1, 0.1, 0)), Error);
  const Tensor bytes = Tensor::zeros({3}, DType::u8);
  CHECK_THROWS_AS(sgd_step({bytes}, {bytes}, {bytes}, sgd_rates(0.1, 0.9, 0)), Error);
}
