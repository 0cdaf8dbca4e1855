// Track Attention with its loss. track_attention.h has the maths.
//
// F (B,H,W,C), w (C), b (1), M (B,H,W) or undefined -> F' (B,H,W,C), A (B,H,W), loss () or undefined.
//
// Saved: F, w, b, A, M; only A is new memory, and it is an output anyway. A pixel's features stay in the first cache
// between the dot product and their second use, so F and G come from memory once. In f32, forward reads 4 P (C+1)
// bytes, writes 4 P (C+1) and takes 4 P C FLOPs. Backward reads 4 P (2C+2) bytes, writes 4 P C and takes 8 P C FLOPs.
#include "kernels/track_attention.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/common/op_helpers.h"
#include "kernels/cpu/nontemporal.h"
#include "kernels/cpu/reduce.h"
#include "kernels/ops.h"

namespace gt {
namespace attention {
namespace {

// ---- CPU ------------------------------------------------------------------------------------------------------------

namespace cpu {

constexpr int64_t block_pixels = 256;
constexpr int64_t max_tile_pixels = 64;

/// Pixels of a tile: their features stay in the first cache between their first and second use.
int64_t tile_pixels(int64_t channels) { return std::clamp<int64_t>(4096 / channels, 4, max_tile_pixels); }

/// f.operator()<C>() with C the number of channels if that is a frequent one, so that loops are unrolled, else 0.
template <class F>
void visit_channels(int64_t channels, const F& f) {
  if (channels == 16) return f.template operator()<16>();
  if (channels == 32) return f.template operator()<32>();
  if (channels == 64) return f.template operator()<64>();
  f.template operator()<0>();
}

/// F' and A of pixels [begin, end), at most one tile. Returns the sum of their losses.
template <int64_t C, class T>
double forward_tile(const AttentionInputs<T>& x, int64_t begin, int64_t end, T* y, T* attention) {
  const int64_t n = end - begin, channels = C > 0 ? C : x.channels;
  const bool nontemporal = exceeds_caches<T>(x.pixels * channels);
  T logit[max_tile_pixels];
  for (int64_t p = 0; p < n; ++p) logit[p] = dot(x.features + (begin + p) * channels, x.w, channels) + x.b[0];
  for (int64_t p = 0; p < n; ++p) attention[begin + p] = math::sigmoid(logit[p]);
  for (int64_t p = begin; p < end; ++p) {
    const T gain = 1 + attention[p];
    const T* f = x.features + p * channels;
    map_elements(channels, nontemporal, y + p * channels, [=](int64_t c) { return f[c] * gain; });
  }
  if (x.map == nullptr) return 0;
  T loss[max_tile_pixels];
#pragma omp simd
  for (int64_t p = 0; p < n; ++p) loss[p] = math::bce(logit[p], x.map[begin + p]);
  return ordered_sum<double>(n, [&](int64_t p) { return loss[p]; });
}

/// Writes F', A and, unless it is null, the loss.
template <class T>
void track_attention_forward(const AttentionInputs<T>& x, T* y, T* attention, T* mean_loss) {
  const int64_t tile = tile_pixels(x.channels);
  double sum = 0;
  visit_channels(x.channels, [&]<int64_t C>() {
    sum = parallel_sum<double>(x.pixels, block_pixels, [&](int64_t begin, int64_t end) {
      double loss = 0;
      for (int64_t p = begin; p < end; p += tile) loss += forward_tile<C>(x, p, std::min(p + tile, end), y, attention);
      return loss;
    });
  });
  if (mean_loss != nullptr) *mean_loss = T(sum / double(x.pixels));
}

/// The gradients at pixels [begin, end), at most one tile; loss_slope is dloss / P. Adds to dw (C) and returns the sum
/// of da.
template <int64_t C, class T>
double backward_tile(const AttentionInputs<T>& x, const T* attention, const AttentionGradients<T>& g, T loss_slope,
                     int64_t begin, int64_t end, T* __restrict dw) {
  const int64_t n = end - begin, channels = C > 0 ? C : x.channels;
  const bool nontemporal = exceeds_caches<T>(x.pixels * channels);
  T da[max_tile_pixels];
  for (int64_t p = 0; p < n; ++p) {
    const int64_t at = (begin + p) * channels;
    da[p] = g.dy == nullptr ? T(0) : dot(g.dy + at, x.features + at, channels);
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
    const T* dy = g.dy == nullptr ? nullptr : g.dy + at;
    map_elements(channels, nontemporal, g.d_features + at,
                 [=](int64_t c) { return feature_gradient(dy == nullptr ? T(0) : dy[c], gain, w[c], d); });
  }
  return db;
}

template <class T>
void track_attention_backward(const AttentionInputs<T>& x, const T* attention, const AttentionGradients<T>& g) {
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

void check_track_attention(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map) {
  GT_CHECK(features.rank() == 4 && features.size() > 0, "track_attention: features are ", features.shape(),
           ", expected (B,H,W,C) and not empty");
  GT_CHECK(w.shape() == Shape{features.dim(3)} && b.shape() == Shape{1}, "track_attention: features are ",
           features.shape(), ", w ", w.shape(), ", b ", b.shape(), ", expected (B,H,W,C), (C), (1)");
  const DType compute = compute_dtype(features.dtype());
  GT_CHECK(w.dtype() == compute && b.dtype() == compute, "track_attention: features are ", features.dtype(), ", w ",
           w.dtype(), ", b ", b.dtype(), ", expected w and b of ", compute);
  if (!map.defined()) return;
  const Shape expected{features.dim(0), features.dim(1), features.dim(2)};
  GT_CHECK(map.shape() == expected && map.dtype() == compute, "track_attention: map is ", map.dtype(), map.shape(),
           ", expected ", compute, expected);
}

template <class S, class T = compute_t<S>>
AttentionInputs<S> inputs(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map) {
  const int64_t channels = features.dim(3);
  return {operand<S>(features),       operand<T>(w), operand<T>(b), operand_or_null<T>(map),
          features.size() / channels, channels};
}

template <class S, class T = compute_t<S>>
AttentionGradients<S> gradients(const Tensors& dy, const Tensor& df, const Tensor& dw, const Tensor& db,
                                const Tensor& dm) {
  const Tensor d_loss = dy.size() == 3 ? dy[2] : Tensor{};
  return {operand_or_null<S>(dy[0]), operand_or_null<T>(dy[1]), operand_or_null<T>(d_loss), operand_or_null<S>(df),
          operand_or_null<T>(dw),    operand_or_null<T>(db),    operand_or_null<T>(dm)};
}

// ---- The op ---------------------------------------------------------------------------------------------------------

Tensors attend(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map) {
  check_track_attention(features, w, b, map);
  Tensor out(features.shape(), features.dtype(), features.device());
  Tensor attention({features.dim(0), features.dim(1), features.dim(2)}, w.dtype(), features.device());
  Tensors outputs{out, attention};
  if (map.defined()) outputs.emplace_back(Shape{}, w.dtype(), features.device());
  visit_activation(features.dtype(), [&]<class S>() {
    using T = compute_t<S>;
    GT_DISPATCH_ACTIVATION(S, features.device(), track_attention_forward, inputs<S>(features, w, b, map),
                           operand<S>(out), operand<T>(attention), map.defined() ? operand<T>(outputs[2]) : nullptr);
  });
  struct {
    bool features, w, b, map;
  } needs{features.requires_grad(), w.requires_grad(), b.requires_grad(), map.requires_grad()};

  outputs =
      record("track_attention", outputs, {features, w, b, map},
             [saved = Saved(features), w = w.detach(), b = b.detach(), map = detached(map),
              attention = attention.detach(), needs](const Tensors& dy) -> Tensors {
               const Tensor features = saved.get();
               Tensor df = empty_gradient(features, needs.features), dw = empty_gradient(w, needs.w);
               Tensor db = empty_gradient(b, needs.b), dm = empty_gradient(map, needs.map);
               visit_activation(features.dtype(), [&]<class S>() {
                 using T = compute_t<S>;
                 GT_DISPATCH_ACTIVATION(S, features.device(), track_attention_backward, inputs<S>(features, w, b, map),
                                        operand<T>(attention), gradients<S>(dy, df, dw, db, dm));
               });
               return {df, dw, db, dm};
             });
  outputs.resize(3);  // without a map the loss stays undefined
  return outputs;
}

}  // namespace
}  // namespace attention

Tensors track_attention(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map) {
  return attention::attend(features, w, b, map);
}

}  // namespace gt
