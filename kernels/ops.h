// The public interface of kernels/: every op, with its shapes.
//
// Images are (B,H,W,C), channels last. Tensors are f32, or f64 for checks. On CUDA, activations may be bf16: x and y of
// the convolutions, pooling, norms, concat and Track Attention. Parameters, sums and losses then stay f32.
//
// Each op checks its arguments and throws Error, naming itself, what it expected and what came. It runs on the device
// of its inputs and records its gradient. An input that "may be undefined" is a default-constructed Tensor.
//
// METHOD n is section n of docs/method.md.
//
// To add an op: write kernels/<op>.cu (comment, maths, CPU, CUDA, op), a line here, and a row in kernels/cases/.
#pragma once

#include <utility>
#include <vector>

#include "core/autograd.h"
#include "core/tensor.h"
#include "kernels/common/numerics.h"

namespace gt {

// ---- pointwise.cu: y has the shape of its inputs --------------------------------------------------------------------

Tensor add(const Tensor& a, const Tensor& b);                     ///< a + b; a and b have one shape
Tensor sub(const Tensor& a, const Tensor& b);                     ///< a - b; a and b have one shape
Tensor mul(const Tensor& a, const Tensor& b);                     ///< a b; a and b have one shape
Tensor scale(const Tensor& x, double factor, double offset = 0);  ///< factor x + offset
Tensor exp(const Tensor& x);                                      ///< e^x
Tensor square(const Tensor& x);                                   ///< x^2
Tensor reciprocal(const Tensor& x);                               ///< 1 / x; 0 where x is 0
Tensor sigmoid(const Tensor& x);                                  ///< 1 / (1 + e^-x)
Tensor softplus(const Tensor& x);                                 ///< log(1 + e^x)
Tensor leaky_relu(const Tensor& x, double slope);                 ///< x where x > 0, else slope x; slope >= 0
Tensor gaussian(const Tensor& d, double sigma);                   ///< exp(-d^2 / (2 sigma^2)); 0 at d = infinity
Tensor greater(const Tensor& x, double threshold);                ///< 1 where x > threshold, else 0; no gradient
Tensor less(const Tensor& x, double threshold);                   ///< 1 where x < threshold, else 0; no gradient
Tensor cast(const Tensor& x, DType dtype);                        ///< x as f32, f64 or bf16

// ---- broadcast.cu: sums, and small tensors broadcast to large ones --------------------------------------------------

Tensor sum(const Tensor& x);                            ///< sum of all elements -> ()
Tensor mean(const Tensor& x);                           ///< mean of all elements, at least one -> ()
Tensor sum_last(const Tensor& x);                       ///< sum over the last dimension, (..,C) -> (..)
Tensor add_channels(const Tensor& x, const Tensor& b);  ///< x (..,C) + b (C)
Tensor mul_channels(const Tensor& x, const Tensor& g);  ///< x (..,C) times g (C)
Tensor mul_pixels(const Tensor& x, const Tensor& a);    ///< x (..,C) times a (..)

// ---- concat.cu ------------------------------------------------------------------------------------------------------

/// The elements of x under another shape of equal size.
Tensor reshape(const Tensor& x, Shape shape);
/// The channels of a, then those of b + bias, pixel by pixel: a (..,C1), b (..,C2), bias (C2) -> (..,C1+C2). bias may
/// be undefined.
Tensor concat(const Tensor& a, const Tensor& b, const Tensor& bias = {});

// ---- Dense ops ------------------------------------------------------------------------------------------------------

/// Matrix product op(a) op(b), each op the identity or the transpose: (M,K) (K,N) -> (M,N).
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false,
              const Numerics& numerics = {});
/// Convolution of stride 1 with zero padding that keeps the size: x (B,H,W,C), w (K,C,R,R) with R 1 or 3, bias (K) ->
/// (B,H,W,K). bias may be undefined. Weights have PyTorch's layout.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Numerics& numerics = {});
/// Convolution of a stride, 1 or 2, with zero padding of R/2 on all sides: x (B,H,W,C), w (K,C,R,R) with R 1, 3 or 7,
/// bias (K) -> (B,ceil(H/stride),ceil(W/stride),K). bias may be undefined. Weights have PyTorch's layout.
Tensor conv2d_strided(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride,
                      const Numerics& numerics = {});
/// Transposed convolution, kernel 2, stride 2: x (B,H,W,C), w (C,K,2,2), bias (K) -> (B,2H,2W,K). bias may be
/// undefined. Weights have PyTorch's layout.
Tensor conv_transpose2x2(const Tensor& x, const Tensor& w, const Tensor& bias, const Numerics& numerics = {});
/// Maximum of each 2 x 2 block: (B,H,W,C) with H and W even -> (B,H/2,W/2,C). The first of equal values gets the
/// gradient.
Tensor max_pool2x2(const Tensor& x);
/// {max_pool2x2(x), x}, the second for a skip connection. Backward makes x's gradient from both in one pass.
Tensors max_pool2x2_and_skip(const Tensor& x);
/// Maximum of 3 x 3 windows, two apart, padded by one pixel: (B,H,W,C) with H and W even -> (B,H/2,W/2,C). The first of
/// equal values gets the gradient.
Tensor max_pool3x3(const Tensor& x);
/// Bilinear interpolation with pixel centres at (i + 0.5) / n, as PyTorch's with align_corners=False: (B,H,W,C) ->
/// (B,height,width,C).
Tensor resize_bilinear(const Tensor& x, int64_t height, int64_t width);
/// Group normalisation (Wu and He, 2018): x (B,H,W,C), gamma (C), beta (C) -> (B,H,W,C); C is a multiple of groups.
Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, int64_t groups, double eps = 1e-5);
/// leaky_relu(group_norm(x + bias)) as one op: x (B,H,W,C), bias, gamma, beta (C). bias may be undefined. With
/// `recompute`, ops that save the result compute it again in backward instead.
Tensor group_norm_leaky_relu(const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                             int64_t groups, double slope, double eps = 1e-5, bool recompute = false);

// ---- Gaze maps ------------------------------------------------------------------------------------------------------
// Tracks are packed: track b has the fixations offsets[b] .. offsets[b+1] - 1. Positions and distances are in image
// sides: (0,0) is the upper left corner, (1,1) the lower right one.

struct MapSize {
  int64_t height, width;  // pixels
};

/// Gaussian splat (METHOD 3.2). At the centre p of a pixel, with i over the fixations of track b:
///   S_lb(p) = sum_i weight[l,i] exp(-(p_x-x_i)^2 / (2 sigma[l,b,0]^2) - (p_y-y_i)^2 / (2 sigma[l,b,1]^2))
/// xy (N,2), weight (L,N), sigma (L,B,2) in image sides, offsets (B+1) i32 -> L maps (B,H_l,W_l), one per size.
/// Differentiable in xy, weight and sigma.
Tensors splat(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
              const std::vector<MapSize>& sizes);
/// normalize_max() of each map of splat(), as one op. Maps have less than 2^31 pixels.
Tensors splat_normalized(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
                         const std::vector<MapSize>& sizes);
/// Each map divided by its maximum: s (B,..) -> (B,..). A map whose maximum is not above 0 becomes 0.
Tensor normalize_max(const Tensor& s);

/// Distance from each pixel centre to the track (METHOD 3.3), in image sides. The track is the polyline through the
/// fixations ranges[l,b,0] .. ranges[l,b,1] - 1. If there are none, the distance is infinite. The ranges of a level are
/// in order and do not overlap. xy (N,2), ranges (L,B,2) i32 -> L maps (B,H_l,W_l), one per size. Differentiable in xy.
Tensors track_distance(const Tensor& xy, const Tensor& ranges, const std::vector<MapSize>& sizes);

/// Track maps (METHOD 3.4) from splats S and distances D:
///   M_lb = splat_weight S_lb + (1 - splat_weight) exp(-D_lb^2 / (2 tau[l,b]^2))
/// S and D are L maps (B,H_l,W_l), tau (L,B) above 0 in image sides -> L such maps. Without splats S
/// is 0. Differentiable in S and D. On CUDA tau is not checked, since that would wait for the device.
Tensors mix_maps(const Tensors& splats, const Tensors& distances, const Tensor& tau, double splat_weight);

// ---- Networks' own ops ----------------------------------------------------------------------------------------------

/// Track Attention with its loss (METHOD 4): a = w.F + b, A = sigmoid(a), F' = F (1 + A), loss = mean of BCE(A, M). F
/// (B,H,W,C), w (C), b (1), M (B,H,W) -> {F' (B,H,W,C), A (B,H,W), loss ()}. M may be undefined, and then so is the
/// loss.
Tensors track_attention(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map);

/// Feature propagation (METHOD 6): y_p = sum_n a_pn V_n over the 5 x 5 pixels n, two apart, around p. a is the softmax
/// over n of max(F_p.F_n, 0); F and V are 0 outside the image. F (B,H,W,C), V (B,H,W,K) -> (B,H,W,K).
Tensor feature_propagation(const Tensor& features, const Tensor& values);

// ---- loss.cu --------------------------------------------------------------------------------------------------------
// Logits z, targets t in [0,1] and weights m have one shape (B,..). An element counts where m is 1 and is ignored where
// m is 0. m may be undefined: then all elements count.

/// Mean of softplus(z) - t z over the counted elements; 0 if none is counted. -> ()
Tensor bce_with_logits(const Tensor& z, const Tensor& t, const Tensor& m = {});
/// Mean over the B images of 1 - (2 sum p t m + eps) / (sum p m + sum t m + eps) with p = sigmoid(z). -> ()
Tensor dice_loss(const Tensor& z, const Tensor& t, const Tensor& m = {}, double eps = 1);

// ---- weighted_sum.cu ------------------------------------------------------------------------------------------------

struct WeightedSum {
  Tensor total;   // ()
  Tensor values;  // (n + 1): the total, then the terms; without a gradient
};

/// sum over i of weights_i terms_i, of 1 to 16 scalars.
WeightedSum weighted_sum(const Tensors& terms, const std::vector<double>& weights);

// ---- optimizer.cu ---------------------------------------------------------------------------------------------------
// Steps work in place, on all tensors of a model in one call. A parameter whose gradient is undefined is left alone.
// The rates come in a small f64 tensor, so that a recorded step can be replayed with new ones.

/// The rates of sgd_step(), (4) on the CPU.
Tensor sgd_rates(double lr, double momentum, double weight_decay, bool nesterov = false);
/// SGD as PyTorch's: d = g + weight_decay p, v = momentum v + d. Then p -= lr v or, with Nesterov's momentum,
/// p -= lr (d + momentum v). `clip` is the result of clip_by_norm(), or undefined if gradients are not clipped.
void sgd_step(const Tensors& parameters, const Tensors& gradients, const Tensors& velocities, const Tensor& rates,
              const Tensor& clip = {});

struct AdamW {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
};
/// The rates of adamw_step(), (6) on the CPU. Steps are counted from 1.
Tensor adamw_rates(int64_t step, double lr, double weight_decay, const AdamW& options = {});
/// AdamW (Loshchilov and Hutter, 2019). `clip` is the result of clip_by_norm(), or undefined.
void adamw_step(const Tensors& parameters, const Tensors& gradients, const Tensors& first_moments,
                const Tensors& second_moments, const Tensor& rates, const Tensor& clip = {});

/// Clipping by the global norm (Pascanu et al., 2013). n is the L2 norm of all gradients together, of which undefined
/// ones are passed over. Overwrites `clip` (2), f64 on the gradients' device, by n and the factor min(1, max_norm / n).
/// The gradients stay as they are: a step that gets `clip` multiplies them by the factor. max_norm is above 0.
void clip_by_norm(const Tensors& gradients, double max_norm, const Tensor& clip);

/// The rates of average_step(), (1) on the CPU.
Tensor average_rates(double decay);
/// The moving average of a model's parameters (Polyak and Juditsky, 1992): a = decay a + (1 - decay) p.
void average_step(const Tensors& averages, const Tensors& parameters, const Tensor& rates);

// ---- augment.cu -----------------------------------------------------------------------------------------------------
// geometry[b] (2,3) maps a pixel's centre in the output to the position in image b that is read there, both in image
// sides.

/// Geometry, colour and normalisation in one pass. Pixel p of y is read at geometry[b] (p_x, p_y, 1), bilinearly, with
/// edge pixels repeated outside. Its channels c, value / 255, then become colour[b] (c_1, .., c_C, 1). images (B,H,W,C)
/// u8, geometry (B,2,3), colour (B,C,C+1) -> (B,H,W,C) in geometry's dtype.
Tensor augment(const Tensor& images, const Tensor& geometry, const Tensor& colour);
/// Masks moved by the geometry: masks (B,H,W) u8 of 0 and 255, geometry (B,2,3) -> 1 where the bilinear value is at
/// least one half, else 0.
Tensor augment_masks(const Tensor& masks, const Tensor& geometry);
/// Fixations moved with their images: position q lands at geometry[b]^-1 (q_x, q_y, 1). xy (N,2), offsets (B+1) i32,
/// geometry (B,2,3) -> (N,2). Differentiable in xy. Throws Error if a geometry cannot be inverted. On CUDA that check
/// would wait for the device, so there positions become non-finite instead.
Tensor augment_fixations(const Tensor& xy, const Tensor& offsets, const Tensor& geometry);

}  // namespace gt
