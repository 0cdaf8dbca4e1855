// Track Attention with its loss, over P = B H W pixels of C channels.
//
//   a = w.F + b,  A = sigmoid(a),  F' = F (1 + A),  loss = 1/P sum softplus(a) - a M
//
// F (B,H,W,C), w (C), b (1), M (B,H,W) or undefined -> F' (B,H,W,C), A (B,H,W), loss () or undefined.
//
// Backward, with G = dL/dF', dA and dloss, any of them missing:
//   da = (G.F + dA) A (1-A) + dloss (A - M) / P
//   dF = G (1+A) + w da,  dw = sum_p da F,  db = sum_p da,  dM = -dloss a / P
//
// Saved: F, w, b, A, M, of which only A is new memory, and that is an output anyway. A pixel's vectors stay in the
// first cache between the dot product and their second use, so F and G come from memory once.
// Forward reads 4 P (C+1) bytes, writes 4 P (C+1) and takes 4 P C FLOPs; backward reads 4 P (2C+2), writes 4 P C and
// takes 8 P C FLOPs.
#include <algorithm>
#include <vector>

#include "core/launch.cuh"
#include "core/parallel.h"
#include "kernels/common/math.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/nontemporal.h"
#include "kernels/cuda/pixel_partition.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// S is the type that features are stored in.
template <class S, class T = compute_t<S>>
struct Attention {
  const S* features;  // (P,C)
  const T* w;         // (C)
  const T* b;         // (1)
  const T* map;       // (P) or null
  int64_t pixels, channels;
};

/// What came in, each null if nothing did, and what is to be filled, each null if it is not wanted.
template <class S, class T = compute_t<S>>
struct AttentionGradients {
  const S* d_features_out;  // (P,C)
  const T* d_attention;     // (P)
  const T* d_loss;          // ()
  S* d_features;            // (P,C)
  T* dw;                    // (C)
  T* db;                    // (1)
  T* d_map;                 // (P)

  /// dloss / P.
  GT_HD T loss_slope(int64_t pixels) const { return d_loss == nullptr ? T(0) : T(double(*d_loss) / double(pixels)); }

  /// da of pixel p, whose A is a and whose G.F is given.
  GT_HD T logit(const T* map, T slope, int64_t p, T a, T product) const {
    const T d = d_attention == nullptr ? product : product + d_attention[p];
    return d * a * (1 - a) + (map == nullptr ? T(0) : slope * (a - map[p]));
  }
};

/// A channel of dF.
template <class T>
GT_HD inline T feature_gradient(T dy, T gain, T w, T da) {
  return dy * gain + w * da;
}

template <class T>
GT_HD inline T map_gradient(T loss_slope, T logit) {
  return -loss_slope * logit;
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block_pixels = 256;
constexpr int64_t max_pixels = 64;  // of a tile

/// Pixels whose vectors are worked on while they are in the first cache.
int64_t tile_pixels(int64_t channels) { return std::clamp<int64_t>(4096 / channels, 4, max_pixels); }

/// f.operator()<C>(), C being the number of channels where that is a usual one, for its loops to be unrolled, or 0.
template <class F>
void visit_channels(int64_t channels, const F& f) {
  if (channels == 16) return f.template operator()<16>();
  if (channels == 32) return f.template operator()<32>();
  if (channels == 64) return f.template operator()<64>();
  f.template operator()<0>();
}

/// Pixels [begin, end), at most one tile of them. Returns their sum of the loss.
template <int64_t C, class T>
double forward_tile(const Attention<T>& x, int64_t begin, int64_t end, T* out, T* attention) {
  const int64_t n = end - begin, channels = C > 0 ? C : x.channels;
  const bool past_caches = streams<T>(x.pixels * channels);
  T logit[max_pixels];
  for (int64_t p = 0; p < n; ++p) logit[p] = dot(x.features + (begin + p) * channels, x.w, channels) + x.b[0];
  for (int64_t p = 0; p < n; ++p) attention[begin + p] = math::sigmoid(logit[p]);
  for (int64_t p = begin; p < end; ++p) {
    const T gain = 1 + attention[p];
    const T* f = x.features + p * channels;
    map_elements(channels, past_caches, out + p * channels, [=](int64_t c) { return f[c] * gain; });
  }
  if (x.map == nullptr) return 0;
  double loss = 0;
#pragma omp simd reduction(+ : loss)
  for (int64_t p = 0; p < n; ++p) loss += double(math::bce(logit[p], x.map[begin + p]));
  return loss;
}

/// Writes F' and A and, unless it is null, the loss.
template <class T>
void track_attention_forward(const Attention<T>& x, T* out, T* attention, T* mean_loss) {
  const int64_t tile = tile_pixels(x.channels);
  double sum = 0;
  visit_channels(x.channels, [&]<int64_t C>() {
    sum = parallel_sum<double>(x.pixels, block_pixels, [&](int64_t begin, int64_t end) {
      double loss = 0;
      for (int64_t p = begin; p < end; p += tile)
        loss += forward_tile<C>(x, p, std::min(p + tile, end), out, attention);
      return loss;
    });
  });
  if (mean_loss != nullptr) *mean_loss = T(sum / double(x.pixels));
}

/// Pixels [begin, end), at most one tile of them; loss_slope is dloss / P. Adds to dw (C); returns their sum of da.
template <int64_t C, class T>
double backward_tile(const Attention<T>& x, const T* attention, const AttentionGradients<T>& g, T loss_slope,
                     int64_t begin, int64_t end, T* __restrict dw) {
  const int64_t n = end - begin, channels = C > 0 ? C : x.channels;
  const bool past_caches = streams<T>(x.pixels * channels);
  T da[max_pixels];
  for (int64_t p = 0; p < n; ++p) {
    const int64_t at = (begin + p) * channels;
    da[p] = g.d_features_out == nullptr ? T(0) : dot(g.d_features_out + at, x.features + at, channels);
  }
  for (int64_t p = 0; p < n; ++p) da[p] = g.logit(x.map, loss_slope, begin + p, attention[begin + p], da[p]);
  double db = 0;
  for (int64_t p = 0; p < n; ++p) {
    const int64_t at = (begin + p) * channels;
    const T* __restrict f = x.features + at;
    const T* __restrict w = x.w;
    const T d = da[p], gain = 1 + attention[begin + p];
    db += double(d);
    for (int64_t c = 0; c < channels; ++c) dw[c] += d * f[c];
    if (g.d_map != nullptr) g.d_map[begin + p] = map_gradient(loss_slope, dot(f, w, channels) + x.b[0]);
    if (g.d_features == nullptr) continue;
    const T* dy = g.d_features_out == nullptr ? nullptr : g.d_features_out + at;
    map_elements(channels, past_caches, g.d_features + at,
                 [=](int64_t c) { return feature_gradient(dy == nullptr ? T(0) : dy[c], gain, w[c], d); });
  }
  return db;
}

template <class T>
void track_attention_backward(const Attention<T>& x, const T* attention, const AttentionGradients<T>& g) {
  const int64_t channels = x.channels, tile = tile_pixels(channels);
  const int64_t blocks = (x.pixels + block_pixels - 1) / block_pixels;
  const T loss_slope = g.loss_slope(x.pixels);
  std::vector<T> partial_dw(size_t(blocks * channels));
  double db = 0;
  visit_channels(channels, [&]<int64_t C>() {
    db = parallel_sum<double>(x.pixels, block_pixels, [&](int64_t begin, int64_t end) {
      T* dw = partial_dw.data() + begin / block_pixels * channels;
      double sum = 0;
      for (int64_t p = begin; p < end; p += tile)
        sum += backward_tile<C>(x, attention, g, loss_slope, p, std::min(p + tile, end), dw);
      return sum;
    });
  });
  if (g.db != nullptr) *g.db = T(db);
  if (g.dw == nullptr) return;
  std::vector<double> dw(x.channels, 0.0);
  for (int64_t k = 0; k < blocks; ++k)
    for (int64_t c = 0; c < channels; ++c) dw[size_t(c)] += double(partial_dw[size_t(k * channels + c)]);
  std::copy(dw.begin(), dw.end(), g.dw);
}

}  // namespace cpu

// ---- CUDA -----------------------------------------------------------------------------------------------------------

#if GT_CUDA
/// A thread's share of a pixel's channels or of w: N vectors, of channels (lane + n lanes) W and on. Zero beyond the
/// last.
template <class S, int N>
struct Row {
  static constexpr int W = vector_length<S>;
  Vector<S, W> vectors[N] = {};

  template <class F>  // f(n, first channel)
  static __device__ void each(const PixelPartition& partition, int64_t channels, const F& f) {
#pragma unroll
    for (int n = 0; n < N; ++n)
      if (const int64_t c = int64_t(partition.lane() + n * partition.lanes) * W; c < channels) f(n, c);
  }
  /// Pixel p of `from` (P,C), unless it is past the block's last.
  __device__ void read(const PixelPartition& partition, int64_t channels, const S* from, int64_t p) {
    if (p < partition.end())
      each(partition, channels, [&](int n, int64_t c) { vectors[n] = load<W>(from + p * channels + c); });
  }
  template <class T>
  __device__ T at(int k) const {
    return T(vectors[k / W].v[k % W]);
  }
};

template <class S, int N, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    attention_forward_kernel(Attention<S> x, PixelPartition partition, S* out, T* attention, double* partial_loss) {
  using R = Row<S, N>;
  T w[N * R::W] = {};
  R::each(partition, x.channels, [&](int n, int64_t c) {
    for (int k = 0; k < R::W; ++k) w[n * R::W + k] = x.w[c + k];
  });
  const T b = *x.b;
  const int64_t end = partition.end();
  double loss = 0;
  R next;  // a pixel ahead, so that its loads are on their way meanwhile
  next.read(partition, x.channels, x.features, partition.begin() + partition.row());
  for (int64_t first = partition.begin(); first < end; first += partition.rows()) {
    const int64_t p = first + partition.row();
    R f = next;
    next.read(partition, x.channels, x.features, p + partition.rows());
    T logit = 0;
    for (int k = 0; k < N * R::W; ++k) logit += w[k] * f.template at<T>(k);
    logit = segment_sum(logit, partition.lanes) + b;
    if (p >= end) continue;
    const T a = math::sigmoid(logit), gain = 1 + a;
    R::each(partition, x.channels, [&](int n, int64_t c) {
      for (S& v : f.vectors[n].v) v = S(T(v) * gain);
      store(out + p * x.channels + c, f.vectors[n]);
    });
    if (partition.lane() > 0) continue;
    attention[p] = a;
    if (x.map != nullptr) loss += double(math::bce(logit, x.map[p]));
  }
  if (partial_loss == nullptr) return;
  loss = cuda::block_sum<row_threads>(loss);
  if (threadIdx.x == 0) partial_loss[blockIdx.x] = loss;
}

/// partial (C+1,blocks): the blocks' sums of dw and db; may be null.
template <class S, int N, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    attention_backward_kernel(Attention<S> x, PixelPartition partition, const T* attention, AttentionGradients<S> g,
                              double* partial) {
  using R = Row<S, N>;
  T w[N * R::W] = {}, dw[N][R::W] = {};
  R::each(partition, x.channels, [&](int n, int64_t c) {
    for (int k = 0; k < R::W; ++k) w[n * R::W + k] = x.w[c + k];
  });
  const T b = *x.b, slope = g.loss_slope(x.pixels);
  const int64_t end = partition.end();
  double db = 0;
  R next, next_dy;  // a pixel ahead, so that its loads are on their way meanwhile
  const auto read_ahead = [&](int64_t p) {
    next.read(partition, x.channels, x.features, p);
    if (g.d_features_out != nullptr) next_dy.read(partition, x.channels, g.d_features_out, p);
  };
  read_ahead(partition.begin() + partition.row());
  for (int64_t first = partition.begin(); first < end; first += partition.rows()) {
    const int64_t p = first + partition.row();
    R f = next, dy = next_dy;
    read_ahead(p + partition.rows());
    T product = 0, logit = 0;
    for (int k = 0; k < N * R::W; ++k) product += dy.template at<T>(k) * f.template at<T>(k);
    product = segment_sum(product, partition.lanes);
    if (g.d_map != nullptr) {
      for (int k = 0; k < N * R::W; ++k) logit += w[k] * f.template at<T>(k);
      logit = segment_sum(logit, partition.lanes) + b;
    }
    if (p >= end) continue;
    const T a = attention[p], gain = 1 + a, d = g.logit(x.map, slope, p, a, product);
    for (int k = 0; k < N * R::W; ++k) dw[k / R::W][k % R::W] += d * f.template at<T>(k);
    if (g.d_features != nullptr)
      R::each(partition, x.channels, [&](int n, int64_t c) {
        for (int k = 0; k < R::W; ++k) {
          S& v = dy.vectors[n].v[k];
          v = S(feature_gradient(T(v), gain, w[n * R::W + k], d));
        }
        store(g.d_features + p * x.channels + c, dy.vectors[n]);
      });
    if (partition.lane() > 0) continue;
    db += double(d);
    if (g.d_map != nullptr) g.d_map[p] = map_gradient(slope, logit);
  }
  if (partial == nullptr) return;
  sum_rows<N>(dw, partition.lanes, [=](int n, int place, double sum) {
    const int64_t c = int64_t(n * partition.lanes) * R::W + place;
    if (c < x.channels) partial[c * gridDim.x + blockIdx.x] = sum;
  });
  db = cuda::block_sum<row_threads>(db);
  if (threadIdx.x == 0) partial[x.channels * gridDim.x + blockIdx.x] = db;
}

// For any number of channels: a warp takes a pixel's dot products, then the block its channels.

constexpr int tile_size = 64;

/// a.b over channels, in every lane of the warp.
template <class T, class A, class B>
__device__ T warp_dot(const A* a, const B* b, int64_t n) {
  T sum = 0;
  for (int64_t c = threadIdx.x % warp_size; c < n; c += warp_size) sum += T(a[c]) * T(b[c]);
  return cuda::warp_sum(sum);
}

template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    any_attention_forward_kernel(Attention<S> x, PixelPartition partition, S* out, T* attention, double* partial_loss) {
  GT_SHARED(T, gain, [tile_size]);
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const int64_t begin = partition.begin(), count = partition.end() - begin;
  double loss = 0;
  for (int64_t q = warp; q < count; q += row_threads / warp_size) {
    const T logit = warp_dot<T>(x.features + (begin + q) * x.channels, x.w, x.channels) + *x.b;
    const T a = math::sigmoid(logit);
    if (lane > 0) continue;
    gain[q] = 1 + a;
    attention[begin + q] = a;
    if (x.map != nullptr) loss += double(math::bce(logit, x.map[begin + q]));
  }
  __syncthreads();
  for (int64_t c = partition.lane(); c < x.channels; c += partition.lanes)
    for (int64_t q = partition.row(); q < count; q += partition.rows()) {
      const int64_t i = (begin + q) * x.channels + c;
      out[i] = S(T(x.features[i]) * gain[q]);
    }
  if (partial_loss == nullptr) return;
  loss = cuda::block_sum<row_threads>(loss);
  if (threadIdx.x == 0) partial_loss[blockIdx.x] = loss;
}

template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    any_attention_backward_kernel(Attention<S> x, PixelPartition partition, const T* attention, AttentionGradients<S> g,
                                  double* partial) {
  GT_SHARED(T, da, [tile_size]);
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const int64_t begin = partition.begin(), count = partition.end() - begin;
  const T slope = g.loss_slope(x.pixels);
  double db = 0;
  for (int64_t q = warp; q < count; q += row_threads / warp_size) {
    const int64_t p = begin + q, at = p * x.channels;
    T product = 0, logit = 0;
    if (g.d_features_out != nullptr) product = warp_dot<T>(g.d_features_out + at, x.features + at, x.channels);
    if (g.d_map != nullptr) logit = warp_dot<T>(x.features + at, x.w, x.channels) + *x.b;
    if (lane > 0) continue;
    da[q] = g.logit(x.map, slope, p, attention[p], product);
    db += double(da[q]);
    if (g.d_map != nullptr) g.d_map[p] = map_gradient(slope, logit);
  }
  __syncthreads();
  for (int64_t first = 0; first < x.channels; first += partition.lanes) {
    const int64_t c = first + partition.lane();
    double dw[1][1] = {};
    for (int64_t q = partition.row(); c < x.channels && q < count; q += partition.rows()) {
      const int64_t i = (begin + q) * x.channels + c;
      dw[0][0] += double(da[q] * T(x.features[i]));
      if (g.d_features == nullptr) continue;
      const T dy = g.d_features_out == nullptr ? T(0) : T(g.d_features_out[i]);
      g.d_features[i] = S(feature_gradient(dy, 1 + attention[begin + q], x.w[c], da[q]));
    }
    if (partial == nullptr) continue;
    sum_rows<1>(dw, partition.lanes, [=](int, int place, double sum) {
      if (first + place < x.channels) partial[(first + place) * gridDim.x + blockIdx.x] = sum;
    });
  }
  if (partial == nullptr) return;
  db = cuda::block_sum<row_threads>(db);
  if (threadIdx.x == 0) partial[x.channels * gridDim.x + blockIdx.x] = db;
}

/// A block per row of partial (width+1,blocks): its sum, divided, to the row's place in `most` or, of the last, to
/// `last`; each may be null.
template <class T>
__global__ void __launch_bounds__(row_threads)
    finish_sums_kernel(int64_t width, int64_t blocks, const double* partial, double divisor, T* most, T* last) {
  const int64_t row = blockIdx.x;
  double sum = 0;
  for (int64_t k = threadIdx.x; k < blocks; k += row_threads) sum += partial[row * blocks + k];
  sum = cuda::block_sum<row_threads>(sum) / divisor;
  T* to = row == width ? last : most == nullptr ? nullptr : most + row;
  if (threadIdx.x == 0 && to != nullptr) *to = T(sum);
}

}  // namespace

namespace cuda {

/// f.operator()<N>(how pixels are partition), N vectors of channels a thread, or 0 where rows do not fit registers so.
template <class S, class F>
void visit_rows(const Attention<S>& x, const F& f) {
  constexpr int W = vector_length<S>, most = W == 8 ? 2 : 4;
  const int64_t vectors = x.channels / W;
  const auto call = [&]<int N>() {
    const int lanes = power_of_two((vectors + N - 1) / N, warp_size);
    f.template operator()<N>(PixelPartition(1, x.pixels, lanes));
  };
  if (x.channels % W != 0 || vectors > most * warp_size)
    f.template operator()<0>(PixelPartition(1, x.pixels, power_of_two(x.channels, row_threads), tile_size));
  else if (vectors <= 8)
    call.template operator()<1>();
  else if (vectors <= 16)
    call.template operator()<2>();
  else
    call.template operator()<most>();
}

/// Writes F' and A and, unless it is null, the loss.
template <class S, class T = compute_t<S>>
void track_attention_forward(const Attention<S>& x, S* out, T* attention, T* mean_loss) {
  const auto run = [&]<int N>(const PixelPartition& partition) {
    const Tensor partial = mean_loss == nullptr ? Tensor{} : Tensor({partition.grid}, DType::f64, Device::cuda);
    if constexpr (N == 0)
      launch({partition.grid, row_threads}, any_attention_forward_kernel<S>, x, partition, out, attention,
             pointer<double>(partial));
    else
      launch({partition.grid, row_threads}, attention_forward_kernel<S, N>, x, partition, out, attention,
             pointer<double>(partial));
    if (mean_loss != nullptr)
      launch({1, row_threads}, finish_sums_kernel<T>, 0, partition.grid, partial.data<double>(), double(x.pixels),
             static_cast<T*>(nullptr), mean_loss);
  };
  visit_rows(x, run);
}

template <class S, class T = compute_t<S>>
void track_attention_backward(const Attention<S>& x, const T* attention, const AttentionGradients<S>& g) {
  const bool sums = g.dw != nullptr || g.db != nullptr;
  const auto run = [&]<int N>(const PixelPartition& partition) {
    const Tensor partial = sums ? Tensor({x.channels + 1, partition.grid}, DType::f64, Device::cuda) : Tensor{};
    if constexpr (N == 0)
      launch({partition.grid, row_threads}, any_attention_backward_kernel<S>, x, partition, attention, g,
             pointer<double>(partial));
    else
      launch({partition.grid, row_threads}, attention_backward_kernel<S, N>, x, partition, attention, g,
             pointer<double>(partial));
    if (sums)
      launch({blocks_for(x.channels + 1, 1), row_threads}, finish_sums_kernel<T>, x.channels, partition.grid,
             partial.data<double>(), 1.0, g.dw, g.db);
  };
  visit_rows(x, run);
}

}  // namespace cuda

namespace {
#endif

void check_track_attention(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map) {
  GT_CHECK(features.rank() == 4 && features.size() > 0, "track_attention: features are ", features.shape(),
           ", expected (B,H,W,C) and not empty");
  GT_CHECK(w.shape() == Shape{features.dim(3)} && b.shape() == Shape{1}, "track_attention: features are ",
           features.shape(), ", w ", w.shape(), ", b ", b.shape(), ", expected (B,H,W,C), (C), (1)");
  const DType wide = features.dtype() == DType::bf16 ? DType::f32 : features.dtype();
  GT_CHECK(w.dtype() == wide && b.dtype() == wide, "track_attention: features are ", features.dtype(), ", w ",
           w.dtype(), ", b ", b.dtype(), ": both are expected to be ", wide);
  if (!map.defined()) return;
  const Shape expected{features.dim(0), features.dim(1), features.dim(2)};
  GT_CHECK(map.shape() == expected && map.dtype() == wide, "track_attention: map is ", map.dtype(), map.shape(),
           ", expected ", wide, expected);
}

template <class S, class T = compute_t<S>>
Attention<S> arguments(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map) {
  const int64_t channels = features.dim(3);
  return {features.data<S>(), w.data<T>(), b.data<T>(), pointer<T>(map), features.size() / channels, channels};
}

template <class S, class T = compute_t<S>>
AttentionGradients<S> gradients(const Tensors& dy, const Tensor& df, const Tensor& dw, const Tensor& db,
                                const Tensor& dm) {
  const Tensor d_loss = dy.size() == 3 ? dy[2] : Tensor{};
  return {pointer<S>(dy[0]), pointer<T>(dy[1]), pointer<T>(d_loss), pointer<S>(df),
          pointer<T>(dw),    pointer<T>(db),    pointer<T>(dm)};
}

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensors track_attention(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map) {
  check_track_attention(features, w, b, map);
  const Tensor out(features.shape(), features.dtype(), features.device());
  const Tensor attention({features.dim(0), features.dim(1), features.dim(2)}, w.dtype(), features.device());
  Tensors outputs{out, attention};
  if (map.defined()) outputs.emplace_back(Shape{}, w.dtype(), features.device());
  visit_activation(features.dtype(), [&]<class S>() {
    using T = compute_t<S>;
    GT_DISPATCH_ACTIVATION(S, features.device(), track_attention_forward, arguments<S>(features, w, b, map),
                           out.data<S>(), attention.data<T>(), map.defined() ? outputs[2].data<T>() : nullptr);
  });
  struct {
    bool features, w, b, map;
  } needs{features.requires_grad(), w.requires_grad(), b.requires_grad(), map.requires_grad()};

  outputs = record("track_attention", outputs, {features, w, b, map},
                   [features = features.detach(), w = w.detach(), b = b.detach(), map = detached(map),
                    attention = attention.detach(), needs](const Tensors& dy) -> Tensors {
                     const Tensor df = gradient_of(features, needs.features), dw = gradient_of(w, needs.w);
                     const Tensor db = gradient_of(b, needs.b), dm = gradient_of(map, needs.map);
                     visit_activation(features.dtype(), [&]<class S>() {
                       using T = compute_t<S>;
                       GT_DISPATCH_ACTIVATION(S, features.device(), track_attention_backward,
                                              arguments<S>(features, w, b, map), attention.data<T>(),
                                              gradients<S>(dy, df, dw, db, dm));
                     });
                     return {df, dw, db, dm};
                   });
  outputs.resize(3);  // without a map the loss stays undefined
  return outputs;
}

}  // namespace gt
