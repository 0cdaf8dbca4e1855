// Every op, with its shapes. Images are NHWC; f32 in use, f64 for checks; on CUDA what a network keeps between its
// layers may be bf16 (x and y of the convolutions, pooling, norms, concat and Track Attention), while parameters, sums
// and losses stay f32. Each op checks its arguments (Error names the op, what was
// expected and what came), runs on its inputs' device, and records its gradient.
//
// METHOD n stands for section n of docs/method.md.
//
// To add an op: its file kernels/<op>.cu (comment, maths, CPU, CUDA, op), a line here, a row in
// kernels/cases/op_cases.h.
#pragma once

#include <utility>
#include <vector>

#include "core/autograd.h"
#include "core/tensor.h"
#include "kernels/common/numerics.h"

namespace gt {

// ---- pointwise.cu: inputs of one shape ------------------------------------------------------------------------------
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor scale(const Tensor& x, double factor, double offset = 0);  // factor * x + offset
Tensor exp(const Tensor& x);
Tensor square(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor softplus(const Tensor& x);                   // log(1 + e^x)
Tensor leaky_relu(const Tensor& x, double slope);   // x > 0 ? x : slope * x
Tensor gaussian(const Tensor& d, double sigma);     // exp(-d^2 / (2 sigma^2)); 0 at d = infinity
Tensor greater(const Tensor& x, double threshold);  // x > threshold ? 1 : 0, without gradient
Tensor less(const Tensor& x, double threshold);     // x < threshold ? 1 : 0, without gradient
Tensor cast(const Tensor& x, DType dtype);          // the same values in another type of real numbers

// ---- broadcast.cu: sums, and small tensors spread over large ones ---------------------------------------------------
Tensor sum(const Tensor& x);                            // -> ()
Tensor mean(const Tensor& x);                           // -> ()
Tensor sum_last(const Tensor& x);                       // (..,C) -> (..)
Tensor add_channels(const Tensor& x, const Tensor& b);  // (..,C) + (C)
Tensor mul_channels(const Tensor& x, const Tensor& g);  // (..,C) * (C)
Tensor mul_pixels(const Tensor& x, const Tensor& a);    // (..,C) * (..)
Tensor reshape(const Tensor& x, Shape shape);           // the same data, differentiable
Tensor normalize_max(const Tensor& s);                  // (B,..) -> s / max of each of the B; 0 where the max is 0

/// (a, b + bias), a pixel's channels of a before those of b: (..,C1), (..,C2), (C2) or undefined -> (..,C1+C2).
Tensor concat(const Tensor& a, const Tensor& b, const Tensor& bias = {});

// ---- dense ----------------------------------------------------------------------------------------------------------
/// a b, each optionally transposed: (M,K) (K,N) -> (M,N).
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false,
              const Numerics& numerics = {});
/// Convolution with zero padding that keeps the size: x (B,H,W,C), w (K,C,R,R) with R 1 or 3, bias (K) or undefined ->
/// (B,H,W,K). Weights are laid out as PyTorch's.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Numerics& numerics = {});
/// Transposed convolution, kernel 2, stride 2: x (B,H,W,C), w (C,K,2,2), bias (K) or undefined -> (B,2H,2W,K).
Tensor conv_transpose2x2(const Tensor& x, const Tensor& w, const Tensor& bias, const Numerics& numerics = {});
/// Maximum of each 2x2 block: (B,H,W,C) -> (B,H/2,W/2,C); H and W even. The first of equal values gets the gradient.
Tensor max_pool2x2(const Tensor& x);
/// {max_pool2x2(x), x}, x for a skip connection: both gradients become that of x in one pass.
Tensors max_pool2x2_and_skip(const Tensor& x);
/// Bilinear, pixel centres at (i + 0.5) / n as in align_corners=false: (B,H,W,C) -> (B,height,width,C).
Tensor resize_bilinear(const Tensor& x, int64_t height, int64_t width);
/// Group normalisation: x (B,H,W,C), gamma and beta (C); C a multiple of groups.
Tensor group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, int64_t groups, double eps = 1e-5);
/// leaky_relu(group_norm(x + bias)) in one op; bias (C) or undefined.
Tensor group_norm_leaky_relu(const Tensor& x, const Tensor& bias, const Tensor& gamma, const Tensor& beta,
                             int64_t groups, double slope, double eps = 1e-5);

// ---- gaze: tracks are packed, track b owns fixations offsets[b] .. offsets[b+1] -------------------------------------
struct MapSize {
  int64_t height, width;  // pixels
};

/// Gaussian splat (METHOD 3.2), p the pixel's centre, i in track b:
///   S_lb(p) = sum_i weight[l,i] exp(-(p_x-x_i)^2 / (2 sigma[l,b,0]^2) - (p_y-y_i)^2 / (2 sigma[l,b,1]^2))
/// xy (N,2) in image sides, weight (L,N), sigma (L,B,2) in image sides, offsets (B+1) i32 -> L maps (B,H_l,W_l).
/// Differentiable in xy, weight and sigma.
Tensors splat(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
              const std::vector<MapSize>& sizes);
/// normalize_max() of each of splat()'s maps, in one op: S / max S. Maps have less than 2^31 pixels.
Tensors splat_normalized(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
                         const std::vector<MapSize>& sizes);

/// Distance (METHOD 3.3), in image sides, from each pixel centre to the polyline through fixations kept[l,b,0] ..
/// kept[l,b,1]-1 (indices into xy) in order; infinity if there are none. The images' ranges are in order and do not
/// overlap. xy (N,2), kept (L,B,2) i32 -> L maps (B,H_l,W_l). Differentiable in xy.
Tensors track_distance(const Tensor& xy, const Tensor& kept, const std::vector<MapSize>& sizes);

/// Track maps (METHOD 3.4): M_lb = share S_lb + (1 - share) exp(-(zoom[b] D_lb)^2 / (2 tau[l]^2)). S (splats; none: 0)
/// and D (distances) are L maps (B,H_l,W_l), zoom (B) -> L such maps. Differentiable in S and D.
Tensors mix_maps(const Tensors& splats, const Tensors& distances, const Tensor& zoom, const std::vector<double>& tau,
                 double share);

/// Track Attention with its loss (METHOD 4): a = w.F + b, A = sigmoid(a), F' = F (1 + A), loss = mean of BCE(A, M).
/// F (B,H,W,C), w (C), b (1), M (B,H,W) or undefined -> {F' (B,H,W,C), A (B,H,W), loss (), undefined without M}.
Tensors track_attention(const Tensor& features, const Tensor& w, const Tensor& b, const Tensor& map);

/// Feature propagation (METHOD 6): y_p = sum_n a_pn V_n over the 5 x 5 pixels n, 2 apart, around p, a the softmax over
/// n of max(F_p.F_n, 0); outside the image F and V are 0. F (B,H,W,C), V (B,H,W,K) -> (B,H,W,K).
Tensor feature_propagation(const Tensor& features, const Tensor& values);

// ---- loss.cu: logits z, targets t in [0,1], weights m (1 counted, 0 ignored; undefined counts all), all (B,..) ------
/// Mean over counted elements of softplus(z) - t z; 0 if none is counted. -> ()
Tensor bce_with_logits(const Tensor& z, const Tensor& t, const Tensor& m = {});
/// Mean over the B of 1 - (2 sum p t m + eps) / (sum p m + sum t m + eps), p = sigmoid(z). -> ()
Tensor dice_loss(const Tensor& z, const Tensor& t, const Tensor& m = {}, double eps = 1);

// ---- optimizer.cu: in place, all tensors of a model in one call -----------------------------------------------------
// What changes from step to step comes in a small tensor of f64, so that a recorded step can be replayed with new
// rates.

/// The rates of sgd_step, (3) on the CPU.
Tensor sgd_rates(double lr, double momentum, double weight_decay);
/// v = momentum v + g + weight_decay p;  p -= lr v.  (PyTorch's SGD.) An undefined gradient leaves its parameter alone.
void sgd_step(const Tensors& parameters, const Tensors& gradients, const Tensors& velocities, const Tensor& rates);

struct AdamW {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
};
/// The rates of adamw_step, (6) on the CPU; step is counted from 1.
Tensor adamw_rates(int64_t step, double lr, double weight_decay, const AdamW& options = {});
/// AdamW (Loshchilov and Hutter 2019). An undefined gradient leaves its parameter alone.
void adamw_step(const Tensors& parameters, const Tensors& gradients, const Tensors& first_moments,
                const Tensors& second_moments, const Tensor& rates);

// ---- augment.cu -----------------------------------------------------------------------------------------------------
/// Geometry, colour and normalisation in one pass. Pixel p of y is read bilinearly (edge pixels repeated outside) at
/// geometry[b] (p_x, p_y, 1) of the image, in image sides; its channels then go through colour[b] (c_1 .. c_C, 1).
/// images (B,H,W,C) u8, taken as c = value/255; geometry (B,2,3), colour (B,C,C+1) -> (B,H,W,C) in geometry's type.
Tensor augment(const Tensor& images, const Tensor& geometry, const Tensor& colour);
/// Masks the same way: (B,H,W) u8 of 0 and 255 -> 0 or 1, bilinear value at least 0.5.
Tensor augment_masks(const Tensor& masks, const Tensor& geometry);
/// Fixations move with the image: position q in the image lands at geometry[b]^-1 (q_x, q_y, 1). xy (N,2), offsets
/// (B+1) i32, geometry (B,2,3) -> (N,2). Differentiable in xy. Throws Error if a geometry cannot be inverted; on CUDA,
/// which would have to be waited
/// for, the positions are then not finite.
Tensor augment_fixations(const Tensor& xy, const Tensor& offsets, const Tensor& geometry);

}  // namespace gt
