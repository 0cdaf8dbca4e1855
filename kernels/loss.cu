// Losses of logits z against targets t in [0,1], over the elements that weights m count (1 counted, 0 ignored; all
// without m). All (B,..) -> scalar.
//
//   bce_with_logits   L = sum m (softplus(z) - t z) / sum m
//                     dL/dz = m (p - t) / sum m,   dL/dt = -m z / sum m
//   dice_loss         L = mean over b of 1 - N/D,  N = 2 sum p t m + eps,  D = sum p m + sum t m + eps
//                     dL/dp = -m (2 t - N/D) / (B D)  (and dp/dz = p (1 - p)),   dL/dt = -m (2 p - N/D) / (B D)
//
// with p = sigmoid(z). Saved: z, t, m, and the two sums of bce or the N and D of each image. Sums are in double; they,
// the loss and its gradient stay on the device, so that nothing waits for the host.
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

/// The sums of bce_with_logits.
struct WeightedSum {
  double loss = 0, weight = 0;
  GT_HD void operator+=(const WeightedSum& other) { loss += other.loss, weight += other.weight; }
  GT_HD double mean() const { return weight > 0 ? loss / weight : 0; }
  GT_HD double inverse() const { return weight > 0 ? 1 / weight : 0; }
};

/// N and D of one image.
struct DiceSums {
  double numerator = 0, denominator = 0;
  GT_HD void operator+=(const DiceSums& other) { numerator += other.numerator, denominator += other.denominator; }
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

template <class T>
void bce_forward(const Samples<T>& s, WeightedSum* sums, T* mean) {
  *sums = parallel_sum<WeightedSum>(s.batch * s.n, block_size, [&](int64_t begin, int64_t end) {
    double loss = 0, weight = 0;
#pragma omp simd reduction(+ : loss, weight)
    for (int64_t i = begin; i < end; ++i) {
      const T m = s.weight(i);
      loss += double(m * math::bce(s.z[i], s.t[i]));
      weight += double(m);
    }
    return WeightedSum{loss, weight};
  });
  *mean = T(sums->mean());
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

/// dy (): the loss's gradient. dz and dt may be null.
template <class T>
void bce_backward(const Samples<T>& s, const WeightedSum* sums, const T* dy, T* dz, T* dt) {
  const T factor = T(sums->inverse() * double(*dy));
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

/// sums (B) get each image's N and D.
template <class T>
void dice_forward(const Samples<T>& s, double eps, DiceSums* sums, T* mean) {
  const int64_t blocks = (s.n + block_size - 1) / block_size;  // of one image
  std::vector<DiceSums> partial(size_t(s.batch * blocks));
  parallel_for(s.batch * blocks, 1, [&](int64_t k, int64_t) {
    const int64_t image = k / blocks, begin = k % blocks * block_size;
    partial[size_t(k)] = dice_block(s, image * s.n + begin, image * s.n + std::min(begin + block_size, s.n));
  });
  double loss = 0;
  for (int64_t image = 0; image < s.batch; ++image) {
    sums[image] = {eps, eps};
    for (int64_t k = image * blocks; k < (image + 1) * blocks; ++k) sums[image] += partial[size_t(k)];
    loss += dice(sums[image]) / double(s.batch);
  }
  *mean = T(loss);
}

/// dy (): the loss's gradient. dz and dt may be null.
template <class T>
void dice_backward(const Samples<T>& s, const DiceSums* sums, const T* dy, T* dz, T* dt) {
  const T factor = T(double(*dy) / double(s.batch));
  const int64_t blocks = (s.n + block_size - 1) / block_size;
  parallel_for(s.batch * blocks, 1, [&](int64_t k, int64_t) {
    const int64_t image = k / blocks, begin = image * s.n + k % blocks * block_size;
    const int64_t end = std::min(begin + block_size, (image + 1) * s.n);
    const DiceSlope<T> slope(sums[image]);
    fill(s, begin, end, dz, [=](int64_t i) {
      const T p = math::sigmoid(s.z[i]);
      return factor * slope(s.t[i]) * p * (1 - p);
    });
    fill(s, begin, end, dt, [=](int64_t i) { return factor * slope(math::sigmoid(s.z[i])); });
  });
}

}  // namespace cpu

#if GT_CUDA
namespace cuda = cpu;  // its CUDA bodies are not written yet
#endif

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

/// Room for `count` pairs of sums on x's device, and as what the kernels take it.
Tensor pairs(int64_t count, const Tensor& x) { return Tensor({count, 2}, DType::f64, x.device()); }

template <class Pair>
Pair* as(const Tensor& pairs) {
  static_assert(sizeof(Pair) == 2 * sizeof(double));
  return reinterpret_cast<Pair*>(pairs.data<double>());
}

}  // namespace

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensor bce_with_logits(const Tensor& z, const Tensor& t, const Tensor& m) {
  check_loss("bce_with_logits", z, t, m);
  const Tensor sums = pairs(1, z), loss({}, z.dtype(), z.device());
  visit_float(z.dtype(), [&]<class T>() {
    GT_DISPATCH(z.device(), bce_forward, samples<T>(z, t, m), as<WeightedSum>(sums), loss.data<T>());
  });
  return record("bce_with_logits", loss, {z, t},
                [z = z.detach(), t = t.detach(), m = detached(m), sums, z_needs = z.requires_grad(),
                 t_needs = t.requires_grad()](const Tensor& dy) -> Tensors {
                  const Tensor dz = gradient_of(z, z_needs), dt = gradient_of(t, t_needs);
                  visit_float(z.dtype(), [&]<class T>() {
                    GT_DISPATCH(z.device(), bce_backward, samples<T>(z, t, m), as<WeightedSum>(sums), dy.data<T>(),
                                pointer<T>(dz), pointer<T>(dt));
                  });
                  return {dz, dt};
                });
}

Tensor dice_loss(const Tensor& z, const Tensor& t, const Tensor& m, double eps) {
  check_loss("dice_loss", z, t, m);
  GT_CHECK(z.rank() >= 1 && z.dim(0) >= 1, "dice_loss: logits are ", z.shape(), ", expected (B,..)");
  GT_CHECK(eps > 0, "dice_loss: eps is ", eps, ", expected more than 0");
  const Tensor sums = pairs(z.dim(0), z), loss({}, z.dtype(), z.device());
  visit_float(z.dtype(), [&]<class T>() {
    GT_DISPATCH(z.device(), dice_forward, samples<T>(z, t, m), eps, as<DiceSums>(sums), loss.data<T>());
  });
  return record("dice_loss", loss, {z, t},
                [z = z.detach(), t = t.detach(), m = detached(m), sums, z_needs = z.requires_grad(),
                 t_needs = t.requires_grad()](const Tensor& dy) -> Tensors {
                  const Tensor dz = gradient_of(z, z_needs), dt = gradient_of(t, t_needs);
                  visit_float(z.dtype(), [&]<class T>() {
                    GT_DISPATCH(z.device(), dice_backward, samples<T>(z, t, m), as<DiceSums>(sums), dy.data<T>(),
                                pointer<T>(dz), pointer<T>(dt));
                  });
                  return {dz, dt};
                });
}

}  // namespace gt
