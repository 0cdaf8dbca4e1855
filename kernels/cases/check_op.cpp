#include "kernels/cases/check_op.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/autograd.h"

namespace gt {
namespace {

/// sum_k <u_k, y_k> over the outputs y_k whose u_k is defined.
double project(const Tensors& y, const Tensors& u) {
  double s = 0;
  for (size_t k = 0; k < y.size(); ++k) {
    if (!u[k].defined()) continue;
    const std::vector<double> a = y[k].values<double>(), b = u[k].values<double>();
    for (size_t i = 0; i < a.size(); ++i) s += a[i] * b[i];
  }
  return s;
}

/// Gives x (f64) new values, on either device.
void set_values(Tensor x, const std::vector<double>& values) {
  copy_bytes(x.data<double>(), x.device(), values.data(), Device::cpu, values.size() * sizeof(double));
}

/// Sets element i of x (f64), on either device.
void set_element(Tensor x, int64_t i, double value) {
  copy_bytes(x.data<double>() + i, x.device(), &value, Device::cpu, sizeof value);
}

std::vector<double> gradient_of(const Tensor& x) {
  return x.grad().defined() ? x.grad().values<double>() : std::vector<double>(size_t(x.size()), 0.0);
}

/// A scalar function of the inputs: the sum of all outputs, each with random weights.
class Projection {
 public:
  Projection(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs) : op_(op), inputs_(inputs) {}

  /// Computes the gradients of the inputs. Returns the function's value. The first call draws the weights.
  double backward(Random random) {
    for (Tensor x : inputs_) x.clear_grad();
    const Tensors y = op_(inputs_);
    weights_.resize(y.size());
    Tensor total;
    for (size_t k = 0; k < y.size(); ++k) {
      if (!y[k].requires_grad()) continue;
      if (!weights_[k].defined()) weights_[k] = Maker{DType::f64, random}.normal(y[k].shape()).to(y[k].device());
      random.bits();
      const Tensor part = sum(mul(y[k], weights_[k]));
      total = total.defined() ? add(total, part) : part;
    }
    GT_CHECK(total.defined(), "check_gradients: no output is differentiable, expected at least one");
    gt::backward(total);
    return total.item();
  }

  double value() const { return project(op_(inputs_), weights_); }

 private:
  const std::function<Tensors(const Tensors&)>& op_;
  const Tensors& inputs_;
  Tensors weights_;
};

/// A derivative by differences, compared with backward's.
struct Comparison {
  double error = std::numeric_limits<double>::infinity();  // relative, the smallest of all steps
  double numeric = 0;                                      // of that step
  double kink = 0;                                         // see GradCheck
};

/// `f` is the function of an offset. `scale` is the least magnitude that an error is relative to.
template <class F>
Comparison compare(F&& f, double analytic, double scale, double rounding, const std::vector<double>& steps) {
  constexpr double small_error = 1e-7;  // then no further step is tried
  Comparison best;
  double best_step = 0, largest_wrong = 0;
  for (const double h : steps) {
    if (best.error < small_error) break;
    const double numeric = (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
    const double relative_to = std::max({std::fabs(numeric), std::fabs(analytic), scale, 1e6 * rounding / h, 1e-9});
    const double error = std::fabs(numeric - analytic) / relative_to;
    if (error > 1e-4 || std::isnan(error)) largest_wrong = std::max(largest_wrong, h);
    if (error < best.error) best = {error, numeric, 0}, best_step = h;
  }
  if (best.error < small_error && best_step < largest_wrong) best.kink = 2 * largest_wrong;
  return best;
}

/// Takes a comparison into the result.
void take(const Comparison& c, double analytic, const std::string& where, GradCheck& result) {
  ++result.elements;
  result.kink = std::max(result.kink, c.kink);
  if (c.error <= result.worst) return;
  result.worst = c.error;
  result.where = str_cat(where, ": backward ", analytic, ", differences ", c.numeric);
}

/// Compares elements of an input, evenly spread.
void check_elements(const Projection& projection, const Tensor& x, const std::string& name, double rounding,
                    const GradCheckOptions& options, GradCheck& result) {
  const std::vector<double> analytic = gradient_of(x), values = x.values<double>();
  double largest = 0;
  for (const double g : analytic) largest = std::max(largest, std::fabs(g));
  const int64_t stride = std::max<int64_t>(1, x.size() / options.max_elements);
  for (int64_t i = 0; i < x.size(); i += stride) {
    const auto f = [&](double offset) {
      set_element(x, i, values[size_t(i)] + offset);
      return projection.value();
    };
    const Comparison c = compare(f, analytic[size_t(i)], 0.01 * largest, rounding, options.steps);
    set_element(x, i, values[size_t(i)]);
    take(c, analytic[size_t(i)], str_cat(name, " element ", i), result);
  }
}

/// Compares the derivative along a random direction with elements of -1 and 1.
void check_direction(const Projection& projection, const Tensor& x, const std::string& name, double rounding,
                     Random random, const GradCheckOptions& options, GradCheck& result) {
  const std::vector<double> gradient = gradient_of(x), values = x.values<double>();
  std::vector<double> direction(values.size()), moved(values.size());
  double analytic = 0, squares = 0;
  for (size_t i = 0; i < direction.size(); ++i) {
    direction[i] = random.chance(0.5) ? 1 : -1;
    analytic += gradient[i] * direction[i];
    squares += gradient[i] * gradient[i];
  }
  const auto f = [&](double offset) {
    for (size_t i = 0; i < moved.size(); ++i) moved[i] = values[i] + offset * direction[i];
    set_values(x, moved);
    return projection.value();
  };
  const Comparison c = compare(f, analytic, 0.01 * std::sqrt(squares), rounding, options.steps);
  set_values(x, values);
  take(c, analytic, name + " along a random direction", result);
}

}  // namespace

void GradCheck::add(const GradCheck& other) {
  elements += other.elements;
  kink = std::max(kink, other.kink);
  if (differing.empty()) differing = other.differing;
  if (other.worst > worst) worst = other.worst, where = other.where;
}

GradCheck check_gradients(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs, Random random,
                          const GradCheckOptions& options) {
  Projection projection(op, inputs);
  GradCheck result;
  const auto name_of = [&](size_t k) { return str_cat("input ", k, " ", inputs[k].shape()); };
  projection.backward(random);
  std::vector<std::vector<double>> first;
  for (const Tensor& x : inputs) first.push_back(x.requires_grad() ? gradient_of(x) : std::vector<double>());
  const double total = projection.backward(random);
  for (size_t k = 0; k < inputs.size() && result.differing.empty(); ++k)
    if (inputs[k].requires_grad() && inputs[k].size() > 0) {
      const std::vector<double> second = gradient_of(inputs[k]);
      if (std::memcmp(first[k].data(), second.data(), second.size() * sizeof(double)) != 0)
        result.differing = name_of(k);
    }
  const double rounding = 2 * std::numeric_limits<double>::epsilon() * std::fabs(total);
  const NoGrad no_grad;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const Tensor& x = inputs[k];
    if (!x.requires_grad() || x.size() == 0) continue;
    if (options.directional)
      check_direction(projection, x, name_of(k), rounding, Random(options.seed, k, 1), options, result);
    else
      check_elements(projection, x, name_of(k), rounding, options, result);
  }
  return result;
}

Tensors inputs_of(const OpCase& c, const Sizes& sizes, DType dtype, Device device, uint64_t seed) {
  Maker maker{dtype, Random(seed << 8 | 7, hash64(c.name))};
  Tensors inputs = c.inputs(sizes, maker);
  for (Tensor& x : inputs)
    if (x.defined() && x.device() != device) x = x.to(device).set_requires_grad(x.requires_grad());
  return inputs;
}

Random projection_of(const OpCase& c, uint64_t seed) { return Random(seed << 8 | 11, hash64(c.name)); }

GradCheck check_gradients(const OpCase& c, const Sizes& sizes, Device device, const GradCheckOptions& options) {
  return check_gradients(c.op, inputs_of(c, sizes, DType::f64, device, options.seed), projection_of(c, options.seed),
                         options);
}

double largest(const Tensor& x) {
  double max = 0;
  for (const double v : x.to(Device::cpu).cast(DType::f64).values<double>())
    if (std::isfinite(v)) max = std::max(max, std::fabs(v));
  return max;
}

double relative_difference(const Tensor& a, const Tensor& b, double min_scale) {
  GT_CHECK(a.shape() == b.shape(), "relative_difference: shapes are ", a.shape(), " and ", b.shape(), ", expected one");
  const std::vector<double> x = a.to(Device::cpu).cast(DType::f64).values<double>();
  const std::vector<double> y = b.to(Device::cpu).cast(DType::f64).values<double>();
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] == y[i]) continue;  // infinities
    worst = std::isnan(x[i] - y[i]) ? 1e30 : std::max(worst, std::fabs(x[i] - y[i]));
  }
  return worst / std::max({largest(b), min_scale, 1e-30});
}

double min_scale(const Tensors& results) {
  double max = 0;
  for (const Tensor& x : results) max = std::max(max, largest(x));
  return 0.05 * max;
}

Tensors run_with_gradients(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs, Random random) {
  for (Tensor x : inputs) x.clear_grad();
  Tensors result;
  Tensor total;
  for (const Tensor& y : op(inputs)) {
    if (!y.defined()) continue;
    result.push_back(y.detach());
    const Tensor computed = cast(y, y.dtype() == DType::bf16 ? DType::f32 : y.dtype());
    const Tensor u = Maker{computed.dtype(), random}.normal(y.shape()).to(y.device());
    random.bits();
    if (!y.requires_grad()) continue;
    const Tensor part = sum(mul(computed, u));
    total = total.defined() ? add(total, part) : part;
  }
  if (total.defined()) backward(total);
  for (const Tensor& x : inputs)
    if (x.requires_grad() && x.grad().defined()) result.push_back(x.grad());
  for (Tensor x : inputs) x.clear_grad();
  return result;
}

std::vector<std::pair<size_t, Tensor>> input_gradients(const std::function<Tensors(const Tensors&)>& op,
                                                       const Tensors& inputs, Random random) {
  Projection(op, inputs).backward(random);
  std::vector<std::pair<size_t, Tensor>> gradients;
  for (size_t k = 0; k < inputs.size(); ++k)
    if (inputs[k].requires_grad() && inputs[k].grad().defined()) gradients.emplace_back(k, inputs[k].grad());
  return gradients;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::cpu), y = b.to(Device::cpu);
  return x.shape() == y.shape() && x.dtype() == y.dtype() && std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
}

}  // namespace gt
