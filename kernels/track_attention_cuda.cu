// Track Attention on CUDA. A thread row of a PixelPartition holds a pixel's features in registers, and meanwhile reads
// the next pixel. A thread has 1, 2 or 4 vectors of 16 bytes. Pixels with more channels, or no whole vectors, take
// other kernels: there a warp computes a pixel's dot product, and then the block its channels. Each direction is one
// launch, and one more if there are sums over pixels.
#include "kernels/track_attention.h"

#include "kernels/common/op_helpers.h"
#include "kernels/cuda/partition.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/vector.cuh"

#if GT_CUDA

namespace gt::attention {
namespace {

using namespace gpu;

// ---- A pixel's features in registers --------------------------------------------------------------------------------

/// The running thread's part of a pixel's channels: N vectors of W channels, the n-th from channel (lane + n lanes) W
/// on. Zero beyond the last channel.
template <class S, int N>
struct Row {
  static constexpr int W = vector_length<S>;
  Vector<S, W> vectors[N] = {};

  /// f(n, first channel) for each of the vectors.
  template <class F>
  static __device__ void each(const PixelPartition& partition, int64_t channels, const F& f) {
#pragma unroll
    for (int n = 0; n < N; ++n)
      if (const int64_t c = int64_t(partition.lane() + n * partition.lanes) * W; c < channels) f(n, c);
  }
  /// Reads pixel p of x (P,C), unless it is past the block's last pixel.
  __device__ void read(const PixelPartition& partition, int64_t channels, const S* x, int64_t p) {
    if (p < partition.end())
      each(partition, channels, [&](int n, int64_t c) { vectors[n] = load<W>(x + p * channels + c); });
  }
  /// The k-th of the thread's N W channels.
  template <class T>
  __device__ T at(int k) const {
    return T(vectors[k / W].v[k % W]);
  }
};

template <class S, int N, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    attention_forward_kernel(AttentionInputs<S> x, PixelPartition partition, S* y, T* attention, double* partial_loss) {
  using R = Row<S, N>;
  T w[N * R::W] = {};
  R::each(partition, x.channels, [&](int n, int64_t c) {
    for (int k = 0; k < R::W; ++k) w[n * R::W + k] = x.w[c + k];
  });
  const T b = *x.b;
  const int64_t end = partition.end();
  double loss = 0;
  R next;  // read one pixel ahead, so that its loads are in flight
  next.read(partition, x.channels, x.features, partition.begin() + partition.row());
  for (int64_t first = partition.begin(); first < end; first += partition.rows()) {
    const int64_t p = first + partition.row();
    R f = next;
    next.read(partition, x.channels, x.features, p + partition.rows());
    T logit = 0;
    for (int k = 0; k < N * R::W; ++k) logit += w[k] * f.template at<T>(k);
    logit = subwarp_reduce(logit, partition.lanes) + b;
    if (p >= end) continue;
    const T a = math::sigmoid(logit), gain = 1 + a;
    R::each(partition, x.channels, [&](int n, int64_t c) {
      for (S& v : f.vectors[n].v) v = S(T(v) * gain);
      store(y + p * x.channels + c, f.vectors[n]);
    });
    if (partition.lane() > 0) continue;
    attention[p] = a;
    if (x.map != nullptr) loss += double(math::bce(logit, x.map[p]));
  }
  if (partial_loss == nullptr) return;
  loss = block_reduce<row_threads>(loss);
  if (threadIdx.x == 0) partial_loss[blockIdx.x] = loss;
}

/// partial (C+1,blocks) gets the blocks' sums of dw and db, unless it is null.
template <class S, int N, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    attention_backward_kernel(AttentionInputs<S> x, PixelPartition partition, const T* attention,
                              AttentionGradients<S> g, double* partial) {
  using R = Row<S, N>;
  T w[N * R::W] = {}, dw[N][R::W] = {};
  R::each(partition, x.channels, [&](int n, int64_t c) {
    for (int k = 0; k < R::W; ++k) w[n * R::W + k] = x.w[c + k];
  });
  const T b = *x.b, slope = g.loss_slope(x.pixels);
  const int64_t end = partition.end();
  double db = 0;
  R next, next_dy;  // read one pixel ahead, so that their loads are in flight
  const auto read_ahead = [&](int64_t p) {
    next.read(partition, x.channels, x.features, p);
    if (g.dy != nullptr) next_dy.read(partition, x.channels, g.dy, p);
  };
  read_ahead(partition.begin() + partition.row());
  for (int64_t first = partition.begin(); first < end; first += partition.rows()) {
    const int64_t p = first + partition.row();
    R f = next, dy = next_dy;
    read_ahead(p + partition.rows());
    T product = 0, logit = 0;
    for (int k = 0; k < N * R::W; ++k) product += dy.template at<T>(k) * f.template at<T>(k);
    product = subwarp_reduce(product, partition.lanes);
    if (g.d_map != nullptr) {
      for (int k = 0; k < N * R::W; ++k) logit += w[k] * f.template at<T>(k);
      logit = subwarp_reduce(logit, partition.lanes) + b;
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
  block_reduce_rows<N>(dw, partition.lanes, [=](int n, int place, double sum) {
    const int64_t c = int64_t(n * partition.lanes) * R::W + place;
    if (c < x.channels) partial[c * gridDim.x + blockIdx.x] = sum;
  });
  db = block_reduce<row_threads>(db);
  if (threadIdx.x == 0) partial[x.channels * gridDim.x + blockIdx.x] = db;
}

// ---- Any number of channels: a warp takes a pixel's dot products, then the block its channels -----------------------

constexpr int block_pixels = 64;

/// a.b over n channels, in every lane of the warp.
template <class T, class A, class B>
__device__ T warp_dot(const A* a, const B* b, int64_t n) {
  T sum = 0;
  for (int64_t c = threadIdx.x % warp_size; c < n; c += warp_size) sum += T(a[c]) * T(b[c]);
  return warp_reduce(sum);
}

template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    any_attention_forward_kernel(AttentionInputs<S> x, PixelPartition partition, S* y, T* attention,
                                 double* partial_loss) {
  GT_SHARED(T, gain, [block_pixels]);
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
      y[i] = S(T(x.features[i]) * gain[q]);
    }
  if (partial_loss == nullptr) return;
  loss = block_reduce<row_threads>(loss);
  if (threadIdx.x == 0) partial_loss[blockIdx.x] = loss;
}

template <class S, class T = compute_t<S>>
__global__ void __launch_bounds__(row_threads)
    any_attention_backward_kernel(AttentionInputs<S> x, PixelPartition partition, const T* attention,
                                  AttentionGradients<S> g, double* partial) {
  GT_SHARED(T, da, [block_pixels]);
  const int lane = int(threadIdx.x) % warp_size, warp = int(threadIdx.x) / warp_size;
  const int64_t begin = partition.begin(), count = partition.end() - begin;
  const T slope = g.loss_slope(x.pixels);
  double db = 0;
  for (int64_t q = warp; q < count; q += row_threads / warp_size) {
    const int64_t p = begin + q, at = p * x.channels;
    T product = 0, logit = 0;
    if (g.dy != nullptr) product = warp_dot<T>(g.dy + at, x.features + at, x.channels);
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
      const T dy = g.dy == nullptr ? T(0) : T(g.dy[i]);
      g.d_features[i] = S(feature_gradient(dy, 1 + attention[begin + q], x.w[c], da[q]));
    }
    if (partial == nullptr) continue;
    block_reduce_rows<1>(dw, partition.lanes, [=](int, int place, double sum) {
      if (first + place < x.channels) partial[(first + place) * gridDim.x + blockIdx.x] = sum;
    });
  }
  if (partial == nullptr) return;
  db = block_reduce<row_threads>(db);
  if (threadIdx.x == 0) partial[x.channels * gridDim.x + blockIdx.x] = db;
}

// ---- Launches -------------------------------------------------------------------------------------------------------

template <class T>
struct StoreMean {
  double count;
  T* mean;
  __device__ void operator()(int64_t, double sum) const { *mean = T(sum / count); }
};

/// Where the sums over the pixels go: row c < C to dw, row C to db; each may be null.
template <class T>
struct StoreGradients {
  int64_t channels;
  T *dw, *db;
  __device__ void operator()(int64_t row, double sum) const {
    T* const to = row == channels ? db : dw == nullptr ? nullptr : dw + row;
    if (to != nullptr) *to = T(sum);
  }
};

/// f.operator()<N>(partition) with N the vectors of a thread, 0 for pixels that do not fit into registers as vectors.
template <class S, class F>
void visit_rows(const AttentionInputs<S>& x, const F& f) {
  constexpr int W = vector_length<S>, max_vectors = W == 8 ? 2 : 4;
  const int64_t vectors = x.channels / W;
  const auto call = [&]<int N>() {
    const int lanes = next_power_of_two((vectors + N - 1) / N, warp_size);
    f.template operator()<N>(PixelPartition(1, x.pixels, lanes));
  };
  if (x.channels % W != 0 || vectors > max_vectors * warp_size)
    f.template operator()<0>(PixelPartition(1, x.pixels, next_power_of_two(x.channels, row_threads), block_pixels));
  else if (vectors <= 8)
    call.template operator()<1>();
  else if (vectors <= 16)
    call.template operator()<2>();
  else
    call.template operator()<max_vectors>();
}

}  // namespace

namespace cuda {

template <class S>
void track_attention_forward(const AttentionInputs<S>& x, S* y, compute_t<S>* attention, compute_t<S>* mean_loss) {
  using T = compute_t<S>;
  const auto run = [&]<int N>(const PixelPartition& partition) {
    Tensor partial = mean_loss == nullptr ? Tensor{} : Tensor({partition.grid}, DType::f64, Device::cuda);
    if constexpr (N == 0)
      launch({partition.grid, row_threads}, any_attention_forward_kernel<S>, x, partition, y, attention,
             data_or_null<double>(partial));
    else
      launch({partition.grid, row_threads}, attention_forward_kernel<S, N>, x, partition, y, attention,
             data_or_null<double>(partial));
    if (mean_loss != nullptr)
      reduce_rows(1, partition.grid, partial.data<double>(), StoreMean<T>{double(x.pixels), mean_loss});
  };
  visit_rows(x, run);
}

template <class S>
void track_attention_backward(const AttentionInputs<S>& x, const compute_t<S>* attention,
                              const AttentionGradients<S>& g) {
  using T = compute_t<S>;
  const bool sums = g.dw != nullptr || g.db != nullptr;
  const auto run = [&]<int N>(const PixelPartition& partition) {
    Tensor partial = sums ? Tensor({x.channels + 1, partition.grid}, DType::f64, Device::cuda) : Tensor{};
    if constexpr (N == 0)
      launch({partition.grid, row_threads}, any_attention_backward_kernel<S>, x, partition, attention, g,
             data_or_null<double>(partial));
    else
      launch({partition.grid, row_threads}, attention_backward_kernel<S, N>, x, partition, attention, g,
             data_or_null<double>(partial));
    if (sums)
      reduce_rows(x.channels + 1, partition.grid, partial.data<double>(), StoreGradients<T>{x.channels, g.dw, g.db});
  };
  visit_rows(x, run);
}

#define GT_INSTANTIATE(S)                                                                             \
  template void track_attention_forward(const AttentionInputs<S>&, S*, compute_t<S>*, compute_t<S>*); \
  template void track_attention_backward(const AttentionInputs<S>&, const compute_t<S>*, const AttentionGradients<S>&);
GT_INSTANTIATE(float)
GT_INSTANTIATE(double)
GT_INSTANTIATE(bf16)

}  // namespace cuda
}  // namespace gt::attention

#endif
