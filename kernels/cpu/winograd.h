// 3x3 correlation with fewer multiplications: Winograd's minimal filtering (Winograd 1980; Lavin and Gray 2016), which
// takes each tile of M x M output pixels, M 2 or 4, and the (M+2)^2 input pixels under it to another basis, where the
// correlation is a product of numbers: 2.25 or 4 times fewer of them. In each place of that basis, all tiles and
// channels together are a matrix product. Rounding is coarser than the sum's own (docs/cpu.md has the errors).
#pragma once

#include "kernels/cpu/convolution.h"

namespace gt {

/// Whether a correlation is computed this way, as its method says.
bool takes_winograd(const Correlation& size);

/// The same as correlate() and correlate_weight_gradient(), for 3x3.
template <class T>
void winograd_correlate(const Correlation& size, const PixelView<const T>& x, const WeightView<const T>& w,
                        const T* bias, const PixelView<T>& y);
template <class T>
void winograd_weight_gradient(const Correlation& size, const PixelView<const T>& x, const PixelView<const T>& dy,
                              const WeightView<T>& dw, T* dbias);

}  // namespace gt
