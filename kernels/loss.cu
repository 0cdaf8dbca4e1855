// Losses of logits z against targets t in [0,1], over the elements that weights m count (1 counted, 0 ignored; all
// without m). All (B,..) -> scalar.
//
//   bce_with_logits   L = sum m (softplus(z) - t z) / sum m           dL/dz = m (p - t) / sum m     dL/dt = -m z / sum
//   m dice_loss         L = mean over b of 1 - N/D,  N = 2 sum p t m + eps,  D = sum p m + sum t m + eps
//                     dL/dp = -m (2 t - N/D) / (B D)  (and dp/dz = p (1 - p));   dL/dt = -m (2 p - N/D) / (B D)
//
// with p = sigmoid(z). Saved: z, t, m, and sum m or the N and D of each image. Sums are in double.
// Per element: forward reads 8 bytes (12 with m), backward reads as many and writes 4 for each gradient; about 40 FLOPs
// forward, 30 backward.
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/math.h"
#include "kernels/op.h"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// N and D of one image.
struct DiceSums {
  double numerator = 0, denominator = 0;
};

GT_HD inline double dice(const DiceSums& s) { return 1 - s.numerator / s.denominator; }

/// The same quotient as its gradient wants it.
template <class T>
struct DiceSlope {
  T ratio, inverse;  // N / D, 1 / D

  explicit GT_HD DiceSlope(const DiceSums& s) : ratio(T(s.numerator / s.denominator)), inverse(T(1 / s.denominator)) {}

  /// To p where the target is t; to t where the probability is p, the two being alike.
  GT_HD T operator()(T other) const { return (ratio - 2 * other) * inverse; }
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

template <class T>
struct Samples {
  const T* z;  // (B,n)
  const T* t;  // (B,n)
  const T* m;  // (B,n) or null
  int64_t batch, n;

  GT_HD T weight(int64_t i) const { return m == nullptr ? T(1) : m[i]; }
};

namespace cpu {

constexpr int64_t block_size = 1024;

struct WeightedSum {
  double loss = 0, weight = 0;
  void operator+=(const WeightedSum& other) { loss += other.loss, weight += other.weight; }
};

template <class T>
WeightedSum bce_forward(const Samples<T>& s) {
  return parallel_sum<WeightedSum>(s.batch * s.n, block_size, [&](int64_t begin, int64_t end) {
    double loss = 0, weight = 0;
#pragma omp simd reduction(+ : loss, weight)
    for (int64_t i = begin; i < end; ++i) {
      const T m = s.weight(i);
      loss += double(m * math::bce(s.z[i], s.t[i]));
      weight += double(m);
    }
    return WeightedSum{loss, weight};
  });
}

/// gradient[i] = weight(i) value(i) for i in [begin, end); nothing if gradient is null.
template <class T, class F>
void fill(const Samples<T>& s, int64_t begin, int64_t end, T* __restrict gradient, const F& value) {
  if (gradient == nullptr) return;
  if (s.m == nullptr)
    for (int64_t i = begin; i < end; ++i) gradient[i] = value(i);
  else
    for (int64_t i = begin; i < end; ++i) gradient[i] = s.m[i] * value(i);
}

/// factor: dL / sum m. dz and dt may be null.
template <class T>
void bce_backward(const Samples<T>& s, T factor, T* dz, T* dt) {
  parallel_for(s.batch * s.n, block_size, [&](int64_t begin, int64_t end) {
    fill(s, begin, end, dz, [=](int64_t i) { return factor * (math::sigmoid(s.z[i]) - s.t[i]); });
    fill(s, begin, end, dt, [=](int64_t i) { return -factor * s.z[i]; });
  });
}

/// The sums of one block of an image's elements, without eps.
template <class T>
DiceSums dice_block(const Samples<T>& s, int64_t begin, int64_t end) {
  double both = 0, each = 0;
#pragma omp simd reduction(+ : both, each)
  for (int64_t i = begin; i < end; ++i) {
    const T m = s.weight(i), p = math::sigmoid(s.z[i]);
    both += double(m * p * s.t[i]);
    each += double(m * (p + s.t[i]));
  }
  return {2 * both, each};
}

template <class T>
std::vector<DiceSums> dice_forward(const Samples<T>& s, double eps) {
  const int64_t blocks = (s.n + block_size - 1) / block_size;  // of one image
  std::vector<DiceSums> partial(size_t(s.batch * blocks)), sums(size_t(s.batch), DiceSums{eps, eps});
  parallel_for(s.batch * blocks, 1, [&](int64_t k, int64_t) {
    const int64_t image = k / blocks, begin = k % blocks * block_size;
    partial[size_t(k)] = dice_block(s, image * s.n + begin, image * s.n + std::min(begin + block_size, s.n));
  });
  for (size_t k = 0; k < partial.size(); ++k) {
    sums[k / size_t(blocks)].numerator += partial[k].numerator;
    sums[k / size_t(blocks)].denominator += partial[k].denominator;
  }
  return sums;
}

/// factor: dL / B. dz and dt may be null.
template <class T>
void dice_backward(const Samples<T>& s, const std::vector<DiceSums>& sums, T factor, T* dz, T* dt) {
  const int64_t blocks = (s.n + block_size - 1) / block_size;
  parallel_for(s.batch * blocks, 1, [&](int64_t k, int64_t) {
    const int64_t image = k / blocks, begin = image * s.n + k % blocks * block_size;
    const int64_t end = std::min(begin + block_size, (image + 1) * s.n);
    const DiceSlope<T> slope(sums[size_t(image)]);
    fill(s, begin, end, dz, [=](int64_t i) {
      const T p = math::sigmoid(s.z[i]);
      return factor * slope(s.t[i]) * p * (1 - p);
    });
    fill(s, begin, end, dt, [=](int64_t i) { return factor * slope(math::sigmoid(s.z[i])); });
  });
}

}  // namespace cpu

template <class T>
Samples<T> samples(const Tensor& z, const Tensor& t, const Tensor& m) {
  const int64_t batch = z.rank() == 0 ? 1 : z.dim(0);
  return {z.data<T>(), t.data<T>(), pointer<T>(m), batch, batch == 0 ? 0 : z.size() / batch};
}

void check_loss(const char* op, const Tensor& z, const Tensor& t, const Tensor& m) {
  GT_CHECK(t.shape() == z.shape() && t.dtype() == z.dtype(), op, ": logits are ", z.dtype(), z.shape(), ", targets ",
           t.dtype(), t.shape());
  if (!m.defined()) return;
  GT_CHECK(m.shape() == z.shape() && m.dtype() == z.dtype(), op, ": logits are ", z.dtype(), z.shape(), ", weights ",
           m.dtype(), m.shape());
  GT_CHECK(!m.requires_grad(), op, ": the weights have no gradient");
}

/// A scalar of x's type and device.
Tensor scalar(double value, const Tensor& x) { return Tensor::full({}, value, x.dtype(), x.device()); }

}  // namespace

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensor bce_with_logits(const Tensor& z, const Tensor& t, const Tensor& m) {
  check_loss("bce_with_logits", z, t, m);
  const auto [loss, weight] =
      visit_float(z.dtype(), [&]<class T>() { return GT_DISPATCH(z.device(), bce_forward, samples<T>(z, t, m)); });
  const double factor = weight > 0 ? 1 / weight : 0;
  return record("bce_with_logits", scalar(factor * loss, z), {z, t},
                [z = z.detach(), t = t.detach(), m = detached(m), factor, z_needs = z.requires_grad(),
                 t_needs = t.requires_grad()](const Tensor& dy) -> Tensors {
                  const Tensor dz = gradient_of(z, z_needs), dt = gradient_of(t, t_needs);
                  visit_float(z.dtype(), [&]<class T>() {
                    GT_DISPATCH(z.device(), bce_backward, samples<T>(z, t, m), T(factor * dy.item()), pointer<T>(dz),
                                pointer<T>(dt));
                  });
                  return {dz, dt};
                });
}

Tensor dice_loss(const Tensor& z, const Tensor& t, const Tensor& m, double eps) {
  check_loss("dice_loss", z, t, m);
  GT_CHECK(z.rank() >= 1 && z.dim(0) >= 1, "dice_loss: logits are ", z.shape(), ", expected (B,..)");
  GT_CHECK(eps > 0, "dice_loss: eps is ", eps, ", expected more than 0");
  const std::vector<DiceSums> sums = visit_float(
      z.dtype(), [&]<class T>() { return GT_DISPATCH(z.device(), dice_forward, samples<T>(z, t, m), eps); });
  double loss = 0;
  for (const DiceSums& image : sums) loss += dice(image) / double(sums.size());
  return record("dice_loss", scalar(loss, z), {z, t},
                [z = z.detach(), t = t.detach(), m = detached(m), sums, z_needs = z.requires_grad(),
                 t_needs = t.requires_grad()](const Tensor& dy) -> Tensors {
                  const Tensor dz = gradient_of(z, z_needs), dt = gradient_of(t, t_needs);
                  const double factor = dy.item() / double(sums.size());
                  visit_float(z.dtype(), [&]<class T>() {
                    GT_DISPATCH(z.device(), dice_backward, samples<T>(z, t, m), sums, T(factor), pointer<T>(dz),
                                pointer<T>(dt));
                  });
                  return {dz, dt};
                });
}

}  // namespace gt
