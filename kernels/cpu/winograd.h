// 3 x 3 correlation with fewer multiplications: Winograd's minimal filtering (Winograd, 1980; Lavin and Gray, 2016). A
// tile of M x M output pixels, M 2 or 4, and the (M+2)^2 input pixels under it are transformed to another basis. There
// the correlation is a product of numbers, 2.25 or 4 times fewer of them. At each point of that basis, all tiles and
// channels together are a matrix product. Rounding errors are larger than those of the sum (docs/cpu.md).
#pragma once

#include "kernels/cpu/convolution.h"

namespace gt {

/// Whether a correlation is computed by Winograd's method: if its numerics say so, or choose automatically and it has
/// enough channels. Only 3 x 3 kernels are.
bool takes_winograd(const Correlation& n);

/// correlate() by Winograd's method, for 3 x 3 kernels.
template <class T>
void winograd_correlate(const Correlation& n, const PixelView<const T>& x, const WeightView<const T>& w, const T* bias,
                        const PixelView<T>& y);
/// correlate_weight_gradient() by Winograd's method, for 3 x 3 kernels.
template <class T>
void winograd_weight_gradient(const Correlation& n, const PixelView<const T>& x, const PixelView<const T>& dy,
                              const WeightView<T>& dw, T* dbias);

}  // namespace gt
