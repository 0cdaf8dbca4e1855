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

/// Sets element i of x (f64), on either device.
void set_element(Tensor x, int64_t i, double value) {
  copy_bytes(x.data<double>() + i, x.device(), &value, Device::cpu, sizeof value);
}

}  // namespace

GradCheck check_gradients(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs, Random random,
                          int64_t max_elements, const std::vector<double>& steps) {
  for (Tensor x : inputs) x.clear_grad();
  const Tensors y = op(inputs);
  Tensors u(y.size());
  Tensor total;
  for (size_t k = 0; k < y.size(); ++k) {
    if (!y[k].requires_grad()) continue;
    u[k] = Maker{DType::f64, random}.normal(y[k].shape()).to(y[k].device());
    random.bits();
    const Tensor part = sum(mul(y[k], u[k]));
    total = total.defined() ? add(total, part) : part;
  }
  GT_CHECK(total.defined(), "check_gradients: no output is differentiable, expected at least one");
  backward(total);

  constexpr double small_error = 1e-7;  // then no further step is tried
  const double rounding = 2 * std::numeric_limits<double>::epsilon() * std::fabs(total.item());
  GradCheck result;
  const NoGrad no_grad;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const Tensor& x = inputs[k];
    if (!x.requires_grad() || x.size() == 0) continue;
    const std::vector<double> analytic =
        x.grad().defined() ? x.grad().values<double>() : std::vector<double>(size_t(x.size()), 0.0);
    double largest = 0;
    for (const double g : analytic) largest = std::max(largest, std::fabs(g));
    const int64_t step = std::max<int64_t>(1, x.size() / max_elements);
    const std::vector<double> values = x.values<double>();
    for (int64_t i = 0; i < x.size(); i += step) {
      ++result.elements;
      const double at = values[size_t(i)];
      const auto f = [&](double offset) {
        set_element(x, i, at + offset);
        return project(op(inputs), u);
      };
      double error = std::numeric_limits<double>::infinity(), closest = 0;
      for (const double h : steps) {
        if (error < small_error) break;
        const double numeric = (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
        const double scale =
            std::max({std::fabs(numeric), std::fabs(analytic[size_t(i)]), 0.01 * largest, 1e6 * rounding / h, 1e-9});
        const double e = std::fabs(numeric - analytic[size_t(i)]) / scale;
        if (e < error) error = e, closest = numeric;
      }
      set_element(x, i, at);
      if (!(error <= result.worst)) {
        result.worst = error;
        result.where = str_cat("input ", k, " ", x.shape(), " element ", i, ": backward ", analytic[size_t(i)],
                               ", differences ", closest);
      }
    }
  }
  return result;
}

Tensors inputs_of(const OpCase& c, const Sizes& sizes, DType dtype, Device device) {
  Maker maker{dtype, Random(7, hash64(c.name))};
  Tensors inputs = c.inputs(sizes, maker);
  for (Tensor& x : inputs)
    if (x.defined() && x.device() != device) x = x.to(device).set_requires_grad(x.requires_grad());
  return inputs;
}

GradCheck check_gradients(const OpCase& c, const Sizes& sizes, Device device, int64_t max_elements) {
  return check_gradients(c.op, inputs_of(c, sizes, DType::f64, device), Random(11, hash64(c.name)), max_elements);
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

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::cpu), y = b.to(Device::cpu);
  return x.shape() == y.shape() && x.dtype() == y.dtype() && std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
}

}  // namespace gt
