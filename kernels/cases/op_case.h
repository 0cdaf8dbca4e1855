// The table of ops: one row each, and the row drives everything: gradient check in double, fused against composed, run
// twice the same bits, memory back to the start, wrong shapes throw, `gradtrack gradcheck`, and the benchmark.
#pragma once

#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "core/random.h"
#include "kernels/common/numerics.h"
#include "kernels/ops.h"

namespace gt {

using Sizes = std::vector<int64_t>;

/// Makes inputs of one element type from one random stream. What is passed through param() is differentiated.
struct Maker {
  DType dtype;
  Random random;

  Tensor param(Tensor t) { return t.set_requires_grad(), t; }

  /// What stays f32 where activations are bf16.
  Tensor wide(const Tensor& t) { return t.dtype() == DType::bf16 ? t.cast(DType::f32) : t; }

  /// Values of `draw(random)`, each block of them from a stream of its own, so that threads share the work.
  template <class Draw>
  Tensor drawn(const Shape& shape, Draw&& draw) {
    Tensor t(shape, DType::f64);
    const uint32_t seed = random.bits();
    constexpr int64_t block = 4096;
    parallel_for(t.size(), block, [&](int64_t begin, int64_t end) {
      Random stream(seed, uint64_t(begin / block));
      for (int64_t i = begin; i < end; ++i) t.data<double>()[i] = draw(stream);
    });
    return t.cast(dtype);
  }

  Tensor uniform(const Shape& shape, double lo, double hi) {
    return drawn(shape, [=](Random& r) { return r.uniform(lo, hi); });
  }

  Tensor normal(const Shape& shape, double scale = 1) {
    return drawn(shape, [=](Random& r) { return scale * r.normal(); });
  }

  /// Normal, but no value within `margin` of 0, where the op has a kink.
  Tensor off_zero(const Shape& shape, double margin = 0.05) {
    return drawn(shape, [=](Random& r) {
      const double v = r.normal();
      return v + (v < 0 ? -margin : margin);
    });
  }

  /// Values all 2/size apart, in [-1, 1] and in no order: no ties for a maximum.
  Tensor distinct(const Shape& shape) {
    Tensor t(shape, DType::f64);
    const int64_t n = t.size(), start = random.below(n);
    int64_t stride = int64_t(0.618 * double(n)) + 1;
    while (std::gcd(stride, n) != 1) ++stride;
    parallel_for(n, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        t.data<double>()[i] = -1 + (2.0 * double((start + i * stride) % n) + 1) / double(n);
    });
    return t.cast(dtype);
  }

  /// 0 or 1 at random, 1 with probability p.
  Tensor zero_one(const Shape& shape, double p = 0.5) {
    return drawn(shape, [=](Random& r) { return double(r.chance(p)); });
  }
};

/// Work of one call, for the roofline: bytes that must move and floating-point operations, in f32.
struct Cost {
  double bytes = 0, flops = 0;
};

struct OpCase {
  std::string name;
  std::vector<Sizes> sizes;  ///< small ones, for checks; what the numbers mean is up to `inputs`
  std::vector<Sizes> large;  ///< of a real training step, for the benchmark
  std::function<Tensors(const Sizes&, Maker&)> inputs;
  std::function<Tensors(const Tensors&)> op;        ///< undefined outputs are passed over
  std::function<Tensors(const Tensors&)> composed;  ///< the same from other ops or plain loops; null if there is none
  std::function<void()> wrong;                      ///< a call with wrong shapes, which must throw
  std::function<Cost(const Sizes&)> cost;           ///< of the forward pass
  /// Of the backward pass to all inputs that have a gradient: each output's gradient and each large tensor it depends
  /// on read once, each input's gradient written once (not at all where it is the output's own).
  std::function<Cost(const Sizes&)> backward = {};
  bool fuses = false;           ///< it does the work of several ops: its twin is those, and a rival in the benchmark
  double f32_tolerance = 1e-5;  ///< fused against composed, relative to the largest value
  bool stored = false;          ///< its activations may be bf16, on CUDA
};

/// `op` with one of its outputs alone, so that its backward pass meets outputs without a gradient.
std::function<Tensors(const Tensors&)> only(size_t output, const std::function<Tensors(const Tensors&)>& op);

/// The rows, a family each, in the order in which they are reported.
std::vector<OpCase> pointwise_cases();  // pointwise.cpp
std::vector<OpCase> dense_cases();      // dense.cpp
std::vector<OpCase> map_cases();        // maps.cpp
std::vector<OpCase> gaze_cases();       // gaze.cpp

/// Every row of the table.
std::vector<OpCase> op_cases();

}  // namespace gt
