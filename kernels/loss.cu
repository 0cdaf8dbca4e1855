// Losses of logits z against targets t in [0,1]. Weights m are 1 for elements that count and 0 for others; without m
// all count. z, t and m have one shape (B,..), and the loss is a scalar.
//
//   bce_with_logits   L = sum m (softplus(z) - t z) / sum m
//                     dL/dz = m (p - t) / sum m,   dL/dt = -m z / sum m
//   dice_loss         L = mean over b of 1 - N/D,  N = 2 sum p t m + eps,  D = sum p m + sum t m + eps
//                     dL/dp = -m (2 t - N/D) / (B D)  (and dp/dz = p (1 - p)),   dL/dt = -m (2 p - N/D) / (B D)
//
// with p = sigmoid(z).
//
// Saved: z, t, m, and the two sums of bce_with_logits, or N and D of each image. Sums are in double. They, the loss and
// its gradient stay on the device, so that nothing waits for the host. Forward reads 8 bytes an element (12 with m) and
// takes about 40 FLOPs. Backward reads as many, writes 4 for each gradient and takes about 30.
//
// CUDA: forward takes two launches, the partial sums of chunks and then their sum in a fixed order; backward takes one.
#include <algorithm>
#include <vector>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/common/math.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/reduce.h"
#include "kernels/cuda/partition.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

template <class T>
struct Samples {
  const T* z;  // (B,n)
  const T* t;  // (B,n)
  const T* m;  // (B,n) or null
  int64_t batch, n;
};

/// What an element adds to the two sums of a loss.
template <class T>
struct Terms {
  T first, second;
};

/// The two sums of a loss.
struct Sums {
  double first = 0, second = 0;
  template <class Other>
  GT_HD void operator+=(const Other& other) {
    first += double(other.first), second += double(other.second);
  }
};

/// `count` pairs of sums on x's device, not initialised.
Tensor empty_sums(int64_t count, const Tensor& x) { return Tensor({count, 2}, DType::f64, x.device()); }

Sums* as_sums(double* pairs) { return reinterpret_cast<Sums*>(pairs); }

/// Sums of bce_with_logits: of the losses and of the weights.
struct Bce {
  template <class T>
  static GT_HD Terms<T> terms(T z, T t, T m) {
    return {m * math::bce(z, t), m};
  }
  static GT_HD double mean(const Sums& s) { return s.second > 0 ? s.first / s.second : 0; }
};

/// dL/dz and dL/dt of a counted element; s are the sums, dy is the gradient of the loss.
template <class T>
struct BceGradient {
  T factor;
  GT_HD BceGradient(const Sums& s, double dy, int64_t) : factor(T((s.second > 0 ? 1 / s.second : 0) * dy)) {}
  GT_HD T to_logit(T z, T t) const { return factor * (math::sigmoid(z) - t); }
  GT_HD T to_target(T z) const { return -factor * z; }
};

/// Sums of dice_loss in each image: N and D, without eps.
struct Dice {
  template <class T>
  static GT_HD Terms<T> terms(T z, T t, T m) {
    const T p = math::sigmoid(z);
    return {2 * (m * p * t), m * (p + t)};
  }
  static GT_HD double loss(const Sums& s) { return 1 - s.first / s.second; }
};

/// dL/dz and dL/dt of a counted element; s are N and D of its image, dy is the gradient of the loss.
template <class T>
struct DiceGradient {
  T factor, ratio, inverse;  // dy / B, N / D, 1 / D
  GT_HD DiceGradient(const Sums& s, double dy, int64_t batch)
      : factor(T(dy / double(batch))), ratio(T(s.first / s.second)), inverse(T(1 / s.second)) {}
  /// dL/dp from t, and dL/dt from p: the loss is symmetric in p and t.
  GT_HD T slope(T other) const { return (ratio - 2 * other) * inverse; }
  GT_HD T to_logit(T z, T t) const {
    const T p = math::sigmoid(z);
    return factor * slope(t) * p * (1 - p);
  }
  GT_HD T to_target(T z) const { return factor * slope(math::sigmoid(z)); }
};

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block_size = 1024;

/// The sums over elements [begin, end) of all images, at most block_size.
template <class Loss, class T>
Sums sum_terms(const Samples<T>& s, int64_t begin, int64_t end) {
  T first[block_size], second[block_size];
  const int64_t n = end - begin;
  const T *z = s.z + begin, *t = s.t + begin;
  const auto compute_terms = [&](const auto& weight) {  // either body is vectorised
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const Terms<T> terms = Loss::terms(z[i], t[i], weight(i));
      first[i] = terms.first;
      second[i] = terms.second;
    }
  };
  if (s.m == nullptr)
    compute_terms([](int64_t) { return T(1); });
  else
    compute_terms([m = s.m + begin](int64_t i) { return m[i]; });
  return {ordered_sum<double>(n, [&](int64_t i) { return first[i]; }),
          ordered_sum<double>(n, [&](int64_t i) { return second[i]; })};
}

template <class T>
void bce_forward(const Samples<T>& s, Sums* sums, T* mean) {
  *sums = parallel_sum<Sums>(s.batch * s.n, block_size,
                             [&](int64_t begin, int64_t end) { return sum_terms<Bce>(s, begin, end); });
  *mean = T(Bce::mean(*sums));
}

/// Writes N and D of each image to sums (B).
template <class T>
void dice_forward(const Samples<T>& s, double eps, Sums* sums, T* mean) {
  const int64_t blocks = (s.n + block_size - 1) / block_size;  // of one image
  std::vector<Sums> partial(size_t(s.batch * blocks));
  parallel_for(s.batch * blocks, 1, [&](int64_t k, int64_t) {
    const int64_t image = k / blocks, begin = k % blocks * block_size;
    partial[size_t(k)] = sum_terms<Dice>(s, image * s.n + begin, image * s.n + std::min(begin + block_size, s.n));
  });
  double loss = 0;
  for (int64_t image = 0; image < s.batch; ++image) {
    sums[image] = {eps, eps};
    for (int64_t k = image * blocks; k < (image + 1) * blocks; ++k) sums[image] += partial[size_t(k)];
    loss += Dice::loss(sums[image]) / double(s.batch);
  }
  *mean = T(loss);
}

/// gradient[i] = weight(i) value(i) for i in [begin, end), unless gradient is null.
template <class T, class F>
void fill(const Samples<T>& s, int64_t begin, int64_t end, T* __restrict gradient, const F& value) {
  if (gradient == nullptr) return;
  if (s.m == nullptr)
    for (int64_t i = begin; i < end; ++i) gradient[i] = value(i);
  else
    for (int64_t i = begin; i < end; ++i) gradient[i] = s.m[i] * value(i);
}

/// sums (B), dy () the gradient of the loss. dz and dt may be null.
template <template <class> class Gradient, class T>
void loss_backward(const Samples<T>& s, const Sums* sums, const T* dy, T* dz, T* dt) {
  const int64_t blocks = (s.n + block_size - 1) / block_size;
  parallel_for(s.batch * blocks, 1, [&](int64_t k, int64_t) {
    const int64_t image = k / blocks, begin = image * s.n + k % blocks * block_size;
    const int64_t end = std::min(begin + block_size, (image + 1) * s.n);
    const Gradient<T> gradient(sums[image], double(*dy), s.batch);
    fill(s, begin, end, dz, [=](int64_t i) { return gradient.to_logit(s.z[i], s.t[i]); });
    fill(s, begin, end, dt, [=](int64_t i) { return gradient.to_target(s.z[i]); });
  });
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
using namespace gpu;

constexpr int loss_threads = 256;

/// The running block's elements, counted through all images. Loops run from 0 to `count`: if they start at `begin`,
/// nvcc 13 stores a vector element by element.
struct LossBlock {
  unsigned image;
  int64_t begin;
  int count;

  __device__ explicit LossBlock(const ChunkPartition& partition)
      : image(unsigned(partition.array())),
        begin(image * partition.size + partition.begin()),
        count(int(partition.end() - partition.begin())) {}
};

template <int W, class T>
__device__ Vector<T, W> weights(const Samples<T>& s, int64_t i) {
  if (s.m != nullptr) return load<W>(s.m + i);
  Vector<T, W> ones;
  for (T& v : ones.v) v = 1;
  return ones;
}

/// partial (B,blocks): the sums of each chunk.
template <class Loss, int W, class T>
__global__ void __launch_bounds__(loss_threads)
    loss_sums_kernel(Samples<T> s, ChunkPartition partition, Sums* partial) {
  using Elements = Vector<T, W>;
  const LossBlock block(partition);
  Sums sums;
  for (int k = int(threadIdx.x) * W; k < block.count; k += loss_threads * W) {
    const int64_t i = block.begin + k;
    const Elements z = load<W>(s.z + i), t = load<W>(s.t + i);
    const Elements m = weights<W>(s, i);
    for (int w = 0; w < W; ++w) sums += Loss::terms(z.v[w], t.v[w], m.v[w]);
  }
  sums = {block_reduce<loss_threads>(sums.first), block_reduce<loss_threads>(sums.second)};
  if (threadIdx.x == 0) partial[blockIdx.x] = sums;
}

/// The mean from the chunks' sums, in one block.
template <class T>
__global__ void __launch_bounds__(loss_threads)
    bce_mean_kernel(int64_t blocks, const Sums* partial, Sums* sums, T* mean) {
  Sums s;
  for (int64_t k = threadIdx.x; k < blocks; k += loss_threads) s += partial[k];
  s = {block_reduce<loss_threads>(s.first), block_reduce<loss_threads>(s.second)};
  if (threadIdx.x > 0) return;
  *sums = s;
  *mean = T(Bce::mean(s));
}

/// The mean from the chunks' sums, in one block whose warps take images.
template <class T>
__global__ void __launch_bounds__(loss_threads)
    dice_mean_kernel(int64_t batch, int64_t blocks, const Sums* partial, double eps, Sums* sums, T* mean) {
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  double loss = 0;
  for (int64_t image = warp; image < batch; image += loss_threads / warp_size) {
    Sums s;
    for (int64_t k = lane; k < blocks; k += warp_size) s += partial[image * blocks + k];
    s = {eps + warp_reduce(s.first), eps + warp_reduce(s.second)};
    if (lane > 0) continue;
    sums[image] = s;
    loss += Dice::loss(s) / double(batch);
  }
  loss = block_reduce<loss_threads>(loss);
  if (threadIdx.x == 0) *mean = T(loss);
}

template <template <class> class Gradient, int W, class T>
__global__ void __launch_bounds__(loss_threads)
    loss_backward_kernel(Samples<T> s, ChunkPartition partition, const Sums* sums, const T* dy, T* dz, T* dt) {
  using Elements = Vector<T, W>;
  const LossBlock block(partition);
  const Gradient<T> gradient(sums[block.image], double(*dy), s.batch);
  for (int k = int(threadIdx.x) * W; k < block.count; k += loss_threads * W) {
    const int64_t i = block.begin + k;
    const Elements z = load<W>(s.z + i), t = load<W>(s.t + i);
    const Elements m = weights<W>(s, i);
    const auto write = [&](T* to, const auto& gradient_at) {
      if (to == nullptr) return;
      Elements d;
      for (int w = 0; w < W; ++w) d.v[w] = m.v[w] * gradient_at(w);
      store(to + i, d);
    };
    write(dz, [&](int w) { return gradient.to_logit(z.v[w], t.v[w]); });
    write(dt, [&](int w) { return gradient.to_target(z.v[w]); });
  }
}

namespace cuda {

/// f.operator()<W>(partition), where a thread takes W elements of an image at once.
template <class T, class F>
void visit_chunks(const Samples<T>& s, const F& f) {
  const int64_t size = items_per_block(s.batch * s.n, loss_threads * vector_length<T>, 1, 32);
  with_vectors<T>(s.n, [&]<int W>() { f.template operator()<W>(ChunkPartition(s.n, size)); });
}

/// The sums of each image's chunks, (B,blocks,2).
template <class Loss, class T>
Tensor partial_sums(const Samples<T>& s) {
  Tensor partial;
  visit_chunks(s, [&]<int W>(const ChunkPartition& partition) {
    partial = Tensor({s.batch, partition.blocks, 2}, DType::f64, Device::cuda);
    launch({partition.grid(s.batch), loss_threads}, loss_sums_kernel<Loss, W, T>, s, partition,
           as_sums(partial.data<double>()));
  });
  return partial;
}

template <class T>
void bce_forward(const Samples<T>& s, Sums* sums, T* mean) {
  const Tensor partial = partial_sums<Bce>(s);
  launch({1, loss_threads}, bce_mean_kernel<T>, partial.size() / 2, as_sums(partial.data<double>()), sums, mean);
}

template <class T>
void dice_forward(const Samples<T>& s, double eps, Sums* sums, T* mean) {
  const Tensor partial = partial_sums<Dice>(s);
  launch({1, loss_threads}, dice_mean_kernel<T>, s.batch, partial.dim(1), as_sums(partial.data<double>()), eps, sums,
         mean);
}

template <template <class> class Gradient, class T>
void loss_backward(const Samples<T>& s, const Sums* sums, const T* dy, T* dz, T* dt) {
  visit_chunks(s, [&]<int W>(const ChunkPartition& partition) {
    launch({partition.grid(s.batch), loss_threads}, loss_backward_kernel<Gradient, W, T>, s, partition, sums, dy, dz,
           dt);
  });
}

}  // namespace cuda
#endif

template <class T>
Samples<T> samples(const Tensor& z, const Tensor& t, const Tensor& m) {
  const int64_t batch = z.rank() == 0 ? 1 : z.dim(0);
  return {operand<T>(z), operand<T>(t), operand_or_null<T>(m), batch, batch == 0 ? 0 : z.size() / batch};
}

void check_loss(const char* op, const Tensor& z, const Tensor& t, const Tensor& m) {
  GT_CHECK(t.shape() == z.shape() && t.dtype() == z.dtype(), op, ": logits are ", z.dtype(), z.shape(), ", targets ",
           t.dtype(), t.shape(), ", expected one shape and dtype");
  if (!m.defined()) return;
  GT_CHECK(m.shape() == z.shape() && m.dtype() == z.dtype(), op, ": logits are ", z.dtype(), z.shape(), ", weights ",
           m.dtype(), m.shape(), ", expected one shape and dtype");
  GT_CHECK(!m.requires_grad(), op, ": the weights require a gradient, expected none");
}

/// z (B,..) as one image, for the loss that sums over all images.
template <class T>
Samples<T> all_samples(const Tensor& z, const Tensor& t, const Tensor& m) {
  return {operand<T>(z), operand<T>(t), operand_or_null<T>(m), 1, z.size()};
}

}  // namespace

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensor bce_with_logits(const Tensor& z, const Tensor& t, const Tensor& m) {
  check_loss("bce_with_logits", z, t, m);
  Tensor sums = empty_sums(1, z), loss({}, z.dtype(), z.device());
  visit_float(z.dtype(), [&]<class T>() {
    GT_DISPATCH(z.device(), bce_forward, all_samples<T>(z, t, m), as_sums(operand<double>(sums)), operand<T>(loss));
  });
  return record("bce_with_logits", loss, {z, t},
                [z = z.detach(), t = t.detach(), m = detached(m), sums, z_needs = z.requires_grad(),
                 t_needs = t.requires_grad()](const Tensor& dy) -> Tensors {
                  Tensor dz = empty_gradient(z, z_needs), dt = empty_gradient(t, t_needs);
                  visit_float(z.dtype(), [&]<class T>() {
                    GT_DISPATCH(z.device(), loss_backward<BceGradient>, all_samples<T>(z, t, m),
                                as_sums(operand<double>(sums)), operand<T>(dy), operand_or_null<T>(dz),
                                operand_or_null<T>(dt));
                  });
                  return {dz, dt};
                });
}

Tensor dice_loss(const Tensor& z, const Tensor& t, const Tensor& m, double eps) {
  check_loss("dice_loss", z, t, m);
  GT_CHECK(z.rank() >= 1 && z.dim(0) >= 1, "dice_loss: logits are ", z.shape(), ", expected (B,..)");
  GT_CHECK(eps > 0, "dice_loss: eps is ", eps, ", expected more than 0");
  Tensor sums = empty_sums(z.dim(0), z), loss({}, z.dtype(), z.device());
  visit_float(z.dtype(), [&]<class T>() {
    GT_DISPATCH(z.device(), dice_forward, samples<T>(z, t, m), eps, as_sums(operand<double>(sums)), operand<T>(loss));
  });
  return record("dice_loss", loss, {z, t},
                [z = z.detach(), t = t.detach(), m = detached(m), sums, z_needs = z.requires_grad(),
                 t_needs = t.requires_grad()](const Tensor& dy) -> Tensors {
                  Tensor dz = empty_gradient(z, z_needs), dt = empty_gradient(t, t_needs);
                  visit_float(z.dtype(), [&]<class T>() {
                    GT_DISPATCH(z.device(), loss_backward<DiceGradient>, samples<T>(z, t, m),
                                as_sums(operand<double>(sums)), operand<T>(dy), operand_or_null<T>(dz),
                                operand_or_null<T>(dt));
                  });
                  return {dz, dt};
                });
}

}  // namespace gt
