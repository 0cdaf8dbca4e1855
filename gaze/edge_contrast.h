// How well a mask's boundary lies on edges of its image: a measure of masks that needs no hand-drawn ones.
#pragma once

#include "gaze/image.h"

namespace gt {

/// The mean gradient of the image along the mask's boundary, as a multiple of its mean in the whole image; 0 for a mask
/// without boundary and for an image without edges. The gradient at a pixel is the length of the central differences of
/// all channels, `step` pixels to each side. Boundary pixels are foreground and have a background pixel among their
/// four neighbours. The image (H,W,C) and the mask (H,W,1) have one size, else Error is thrown.
double edge_contrast(const Image& image, const Image& mask, int64_t step = 2);

}  // namespace gt
