// The table of ops. A row describes an op to everything that checks or times it. Checks are: gradients in double (also
// `gradtrack gradcheck`), fused against composed, CPU against CUDA, equal bits in two runs, no memory left, and Error
// for wrong shapes. The benchmark times the rows.
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

/// The sizes of a row's inputs. The row says what each number means.
using Sizes = std::vector<int64_t>;

/// Makes inputs of one dtype from one random stream.
struct Maker {
  DType dtype;
  Random random;

  /// The tensor, differentiable.
  Tensor param(Tensor t) { return t.set_requires_grad(), t; }

  /// The tensor in the compute dtype of activations of its dtype, as parameters have it.
  Tensor compute(const Tensor& t) { return t.dtype() == DType::bf16 ? t.cast(DType::f32) : t; }

  /// Values of draw(random). Each block of values has its own random stream, so that threads can make them.
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

  /// Uniform in [lo, hi].
  Tensor uniform(const Shape& shape, double lo, double hi) {
    return drawn(shape, [=](Random& r) { return r.uniform(lo, hi); });
  }

  /// Normal with mean 0 and standard deviation `scale`.
  Tensor normal(const Shape& shape, double scale = 1) {
    return drawn(shape, [=](Random& r) { return scale * r.normal(); });
  }

  /// Normal, moved away from 0 by `margin`, for ops with a kink there.
  Tensor off_zero(const Shape& shape, double margin = 0.05) {
    return drawn(shape, [=](Random& r) {
      const double v = r.normal();
      return v + (v < 0 ? -margin : margin);
    });
  }

  /// Values in [-1, 1], all 2/size apart, in a scattered order: a maximum has no ties.
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

  /// 1 with probability p, else 0.
  Tensor zero_one(const Shape& shape, double p = 0.5) {
    return drawn(shape, [=](Random& r) { return double(r.chance(p)); });
  }
};

/// The work of one call in f32, for the roofline: bytes that must move, and FLOPs.
struct Cost {
  double bytes = 0, flops = 0;
};

/// A row of the table.
struct OpCase {
  std::string name;
  std::vector<Sizes> sizes;  ///< small, for checks
  std::vector<Sizes> large;  ///< of a training step, for the benchmark
  std::function<Tensors(const Sizes&, Maker&)> inputs;
  std::function<Tensors(const Tensors&)> op;        ///< its undefined outputs are ignored
  std::function<Tensors(const Tensors&)> composed;  ///< computes the op's result by other ops or loops; may be null
  std::function<void()> wrong;                      ///< a call with wrong shapes, which must throw Error
  std::function<Cost(const Sizes&)> cost;           ///< of forward
  /// Of backward to all differentiable inputs. Each output's gradient and each large tensor that it depends on are read
  /// once. Each input's gradient is written once, unless it is the output's.
  std::function<Cost(const Sizes&)> backward = {};
  bool fuses = false;             ///< whether the op fuses those of `composed`, which the benchmark then times as well
  double f32_tolerance = 1e-5;    ///< of fused against composed, relative to the largest value
  bool bf16_activations = false;  ///< whether its activations may be bf16 on CUDA
};

/// `op` with only one of its outputs, so that backward gets no gradient for the others.
std::function<Tensors(const Tensors&)> only(size_t output, const std::function<Tensors(const Tensors&)>& op);

/// The rows of each family, in the order of reports.
std::vector<OpCase> pointwise_cases();  // pointwise.cpp
std::vector<OpCase> dense_cases();      // dense.cpp
std::vector<OpCase> map_cases();        // maps.cpp
std::vector<OpCase> gaze_cases();       // gaze.cpp

/// Every row of the table.
std::vector<OpCase> op_cases();

}  // namespace gt
