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

#include "core/parallel.h"
#include "kernels/math.h"
#include "kernels/op.h"
#include "kernels/ops.h"

namespace gt {
namespace {

// ---- Maths ----------------------------------------------------------------------------------------------------------

/// da from A, from dL/dA with what comes through F', and from the loss's share s (A - M).
template <class T>
GT_HD inline T logit_gradient(T attention, T d_attention, T d_loss) {
  return d_attention * attention * (1 - attention) + d_loss;
}

// ---- CPU ------------------------------------------------------------------------------------------------------------

template <class T>
struct Attention {
  const T* features;  // (P,C)
  const T* w;         // (C)
  const T* b;         // (1)
  const T* map;       // (P) or null
  int64_t pixels, channels;
};

/// What came in, each null if nothing did, and what is to be filled, each null if it is not wanted.
template <class T>
struct AttentionGradients {
  const T* d_features_out;  // (P,C)
  const T* d_attention;     // (P)
  const T* d_loss;          // ()
  T* d_features;            // (P,C)
  T* dw;                    // (C)
  T* db;                    // (1)
  T* d_map;                 // (P)
};

namespace cpu {

constexpr int64_t block_pixels = 256;
constexpr int64_t most_pixels = 64;  // of a tile

/// Pixels whose vectors are worked on while they are in the first cache.
int64_t tile_pixels(int64_t channels) { return std::clamp<int64_t>(4096 / channels, 4, most_pixels); }

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// Pixels [begin, end), at most one tile of them. Returns their sum of the loss.
template <class T>
double forward_tile(const Attention<T>& x, int64_t begin, int64_t end, T* out, T* attention) {
  const int64_t n = end - begin, channels = x.channels;
  T logit[most_pixels];
  for (int64_t p = 0; p < n; ++p) logit[p] = dot(x.features + (begin + p) * channels, x.w, channels) + x.b[0];
  for (int64_t p = 0; p < n; ++p) attention[begin + p] = math::sigmoid(logit[p]);
  for (int64_t p = begin; p < end; ++p) {
    const T gain = 1 + attention[p];
    const T* __restrict f = x.features + p * channels;
    T* __restrict y = out + p * channels;
    for (int64_t c = 0; c < channels; ++c) y[c] = f[c] * gain;
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
  const double sum = parallel_sum<double>(x.pixels, block_pixels, [&](int64_t begin, int64_t end) {
    double loss = 0;
    for (int64_t p = begin; p < end; p += tile) loss += forward_tile(x, p, std::min(p + tile, end), out, attention);
    return loss;
  });
  if (mean_loss != nullptr) *mean_loss = T(sum / double(x.pixels));
}

/// Pixels [begin, end), at most one tile of them; loss_slope is dloss / P. Adds to dw (C); returns their sum of da.
template <class T>
double backward_tile(const Attention<T>& x, const T* attention, const AttentionGradients<T>& g, T loss_slope,
                     int64_t begin, int64_t end, T* __restrict dw) {
  const int64_t n = end - begin, channels = x.channels;
  T da[most_pixels];
  for (int64_t p = 0; p < n; ++p) {
    const int64_t at = (begin + p) * channels;
    da[p] = g.d_features_out == nullptr ? T(0) : dot(g.d_features_out + at, x.features + at, channels);
  }
  for (int64_t p = 0; p < n; ++p) {
    const T a = attention[begin + p];
    const T d_attention = g.d_attention == nullptr ? da[p] : da[p] + g.d_attention[begin + p];
    da[p] = logit_gradient(a, d_attention, x.map == nullptr ? T(0) : loss_slope * (a - x.map[begin + p]));
  }
  double db = 0;
  for (int64_t p = 0; p < n; ++p) {
    const int64_t at = (begin + p) * channels;
    const T* __restrict f = x.features + at;
    const T* __restrict w = x.w;
    const T d = da[p], gain = 1 + attention[begin + p];
    db += double(d);
    for (int64_t c = 0; c < channels; ++c) dw[c] += d * f[c];
    if (g.d_map != nullptr) g.d_map[begin + p] = -loss_slope * (dot(f, w, channels) + x.b[0]);
    if (g.d_features == nullptr) continue;
    T* __restrict df = g.d_features + at;
    if (g.d_features_out == nullptr) {
      for (int64_t c = 0; c < channels; ++c) df[c] = w[c] * d;
    } else {
      const T* __restrict dy = g.d_features_out + at;
      for (int64_t c = 0; c < channels; ++c) df[c] = dy[c] * gain + w[c] * d;
    }
  }
  return db;
}

template <class T>
void track_attention_backward(const Attention<T>& x, const T* attention, const AttentionGradients<T>& g) {
  const int64_t channels = x.channels, tile = tile_pixels(channels);
  const int64_t blocks = (x.pixels + block_pixels - 1) / block_pixels;
  const T loss_slope = g.d_loss == nullptr ? T(0) : T(double(*g.d_loss) / double(x.pixels));
  std::vector<T> partial_dw(size_t(blocks * channels));
  const double db = parallel_sum<double>(x.pixels, block_pixels, [&](int64_t begin, int64_t end) {
    T* dw = partial_dw.data() + begin / block_pixels * channels;
    double sum = 0;
    for (int64_t p = begin; p < end; p += tile)
      sum += backward_tile(x, attention, g, loss_slope, p, std::min(p + tile, end), dw);
    return sum;
  });
  if (g.db != nullptr) *g.db = T(db);
  if (g.dw == nullptr) return;
  std::vector<double> dw(x.channels, 0.0);
  for (int64_t k = 0; k < blocks; ++k)
    for (int64_t c = 0; c < channels; ++c) dw[size_t(c)] += double(partial_dw[size_t(k * channels + c)]);
  std::copy(dw.begin(), dw.end(), g.dw);
}

}  // namespace cpu

#if GT_CUDA
namespace cuda = cpu;  // its CUDA bodies are not written yet
#endif

void check_track_attention(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map) {
  GT_CHECK(features.rank() == 4 && features.size() > 0, "track_attention: features are ", features.shape(),
           ", expected (B,H,W,C) and not empty");
  GT_CHECK(w.shape() == Shape{features.dim(3)} && b.shape() == Shape{1}, "track_attention: features are ",
           features.shape(), ", w ", w.shape(), ", b ", b.shape(), ", expected (B,H,W,C), (C), (1)");
  GT_CHECK(w.dtype() == features.dtype() && b.dtype() == features.dtype(), "track_attention: features are ",
           features.dtype(), ", w ", w.dtype(), ", b ", b.dtype(), ": expected one type");
  if (!map.defined()) return;
  const Shape expected{features.dim(0), features.dim(1), features.dim(2)};
  GT_CHECK(map.shape() == expected && map.dtype() == features.dtype(), "track_attention: map is ", map.dtype(),
           map.shape(), ", expected ", features.dtype(), expected);
}

template <class T>
Attention<T> arguments(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map) {
  const int64_t channels = features.dim(3);
  return {features.data<T>(), w.data<T>(), b.data<T>(), pointer<T>(map), features.size() / channels, channels};
}

}  // namespace

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensors track_attention(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map) {
  check_track_attention(features, w, b, map);
  const Tensor out(features.shape(), features.dtype(), features.device());
  const Tensor attention({features.dim(0), features.dim(1), features.dim(2)}, features.dtype(), features.device());
  Tensors outputs{out, attention};
  if (map.defined()) outputs.emplace_back(Shape{}, features.dtype(), features.device());
  visit_float(features.dtype(), [&]<class T>() {
    GT_DISPATCH(features.device(), track_attention_forward, arguments<T>(features, w, b, map), out.data<T>(),
                attention.data<T>(), map.defined() ? outputs[2].data<T>() : nullptr);
  });
  struct {
    bool features, w, b, map;
  } needs{features.requires_grad(), w.requires_grad(), b.requires_grad(), map.requires_grad()};

  outputs =
      record("track_attention", outputs, {features, w, b, map},
             [features = features.detach(), w = w.detach(), b = b.detach(), map = detached(map),
              attention = attention.detach(), needs](const Tensors& dy) -> Tensors {
               const Tensor df = gradient_of(features, needs.features), dw = gradient_of(w, needs.w);
               const Tensor db = gradient_of(b, needs.b), dm = gradient_of(map, needs.map);
               const Tensor d_loss = dy.size() == 3 ? dy[2] : Tensor{};
               visit_float(features.dtype(), [&]<class T>() {
                 const AttentionGradients<T> g{pointer<T>(dy[0]), pointer<T>(dy[1]), pointer<T>(d_loss), pointer<T>(df),
                                               pointer<T>(dw),    pointer<T>(db),    pointer<T>(dm)};
                 GT_DISPATCH(features.device(), track_attention_backward, arguments<T>(features, w, b, map),
                             attention.data<T>(), g);
               });
               return {df, dw, db, dm};
             });
  outputs.resize(3);  // without a map the loss stays undefined
  return outputs;
}

}  // namespace gt
