// Gaussian splat of fixations into maps, plain or divided by each map's maximum. splat.h has the maths.
//
// xy (N,2), weight (L,N), sigma (L,B,2), offsets (B+1) -> L maps (B,H_l,W_l).
//
// Saved: xy, weight, sigma, offsets, and if normalised the maxima and their indices. Backward computes the profiles
// again: (H+W) N exponentials cost little compared with the sums. For each level of an image of n fixations, forward
// writes 4 H W bytes and takes 2 n H W FLOPs. Backward reads 4 H W bytes and takes 4 n H W FLOPs on the CPU, 6 on CUDA.
#include "kernels/splat.h"

#include <limits>
#include <vector>

#include "kernels/common/op_helpers.h"

namespace gt {
namespace splatting {
namespace {

// ---- What both ops share --------------------------------------------------------------------------------------------

template <class T>
Fixations<T> fixations(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets) {
  return {operand<T>(xy),     operand<T>(weight), operand<T>(sigma), operand<int32_t>(offsets),
          offsets.dim(0) - 1, xy.dim(0)};
}

void check_splat(const char* op, const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
                 const std::vector<MapSize>& sizes) {
  const int64_t levels = int64_t(sizes.size());
  check_sizes(op, sizes);
  GT_CHECK(xy.rank() == 2 && xy.dim(1) == 2, op, ": xy is ", xy.shape(), ", expected (N,2)");
  check_offsets(op, offsets, xy.dim(0));
  const Shape weight_shape{levels, xy.dim(0)}, sigma_shape{levels, offsets.dim(0) - 1, 2};
  GT_CHECK(weight.shape() == weight_shape, op, ": weight is ", weight.shape(), ", expected ", weight_shape);
  GT_CHECK(sigma.shape() == sigma_shape, op, ": sigma is ", sigma.shape(), ", expected ", sigma_shape);
  GT_CHECK(weight.dtype() == xy.dtype() && sigma.dtype() == xy.dtype(), op, ": xy is ", xy.dtype(), ", weight ",
           weight.dtype(), ", sigma ", sigma.dtype(), ", expected one type");
}

template <class T>
Maxima<T> maxima(const Tensor& value, const Tensor& index) {
  return {operand_or_null<T>(value), operand_or_null<int32_t>(index)};
}

/// Either op. The maps are normalised if the tensors for their maxima, maximum (L,B) and index (L,B), are defined.
Tensors draw(const char* op, const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
             const std::vector<MapSize>& sizes, const Tensor& maximum, const Tensor& index) {
  Tensors maps = empty_maps(sizes, offsets.dim(0) - 1, xy.dtype(), xy.device());
  visit_float(xy.dtype(), [&]<class T>() {
    GT_DISPATCH(xy.device(), splat_forward, fixations<T>(xy, weight, sigma, offsets), sizes, operands_or_null<T>(maps),
                maxima<T>(maximum, index));
  });
  return record(op, maps, {xy, weight, sigma},
                [xy = xy.detach(), weight = weight.detach(), sigma = sigma.detach(), offsets = offsets.detach(), sizes,
                 maximum, index, xy_needs = xy.requires_grad(), weight_needs = weight.requires_grad(),
                 sigma_needs = sigma.requires_grad()](const Tensors& dy) -> Tensors {
                  Tensor dxy = empty_gradient(xy, xy_needs);
                  Tensor dw = empty_gradient(weight, weight_needs);
                  Tensor dsigma = empty_gradient(sigma, sigma_needs);
                  visit_float(xy.dtype(), [&]<class T>() {
                    GT_DISPATCH(xy.device(), splat_backward, fixations<T>(xy, weight, sigma, offsets), sizes,
                                operands_or_null<T>(dy), maxima<T>(maximum, index), operand_or_null<T>(dw),
                                operand_or_null<T>(dxy), operand_or_null<T>(dsigma));
                  });
                  return {dxy, dw, dsigma};
                });
}

}  // namespace
}  // namespace splatting

// ---- The ops --------------------------------------------------------------------------------------------------------

Tensors splat(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
              const std::vector<MapSize>& sizes) {
  splatting::check_splat("splat", xy, weight, sigma, offsets, sizes);
  return splatting::draw("splat", xy, weight, sigma, offsets, sizes, {}, {});
}

Tensors splat_normalized(const Tensor& xy, const Tensor& weight, const Tensor& sigma, const Tensor& offsets,
                         const std::vector<MapSize>& sizes) {
  splatting::check_splat("splat_normalized", xy, weight, sigma, offsets, sizes);
  for (const auto [height, width] : sizes)  // indices are i32
    GT_CHECK(height <= std::numeric_limits<int32_t>::max() / width, "splat_normalized: a map is ", height, " x ", width,
             ", expected less than 2^31 pixels");
  const Shape maps{int64_t(sizes.size()), offsets.dim(0) - 1};
  return splatting::draw("splat_normalized", xy, weight, sigma, offsets, sizes, Tensor(maps, xy.dtype(), xy.device()),
                         Tensor(maps, DType::i32, xy.device()));
}

}  // namespace gt
