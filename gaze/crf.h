// Dense conditional random field of two labels (Kraehenbuehl and Koltun, "Efficient Inference in Fully Connected CRFs
// with Gaussian Edge Potentials", NIPS 2011). Every pair of pixels is connected, more strongly if they are near and
// have similar colours.
#pragma once

#include "core/config.h"
#include "core/tensor.h"
#include "gaze/image.h"

namespace gt {

/// Options of the CRF. The defaults are GazeMedSeg's (METHOD 1).
struct CrfOptions {
  double bilateral = 1;       // weight of the kernel of position and colour (Potts compatibility); 0 for none
  double bilateral_xy = 80;   // its standard deviation in position, pixels
  double bilateral_rgb = 13;  // its standard deviation in colour, of 256 levels
  double gaussian = 0;        // weight of the kernel of position alone; 0 for none
  double gaussian_xy = 3;     // its standard deviation, pixels
  int64_t iterations = 10;    // of the mean field; 0 returns the map

  template <class V>
  void visit(V& v) {
    v("bilateral", bilateral, Range{0, 1e3}, Help{"weight of the kernel of place and colour; 0 for none"});
    v("bilateral_xy", bilateral_xy, Range{0.5, 1e4}, Help{"its standard deviation in place", "pixels of the image"});
    v("bilateral_rgb", bilateral_rgb, Range{0.5, 1e4}, Help{"its standard deviation in colour", "of 256 levels"});
    v("gaussian", gaussian, Range{0, 1e3}, Help{"weight of the kernel of place alone; 0 for none"});
    v("gaussian_xy", gaussian_xy, Range{0.5, 1e4}, Help{"its standard deviation", "pixels of the image"});
    v("iterations", iterations, Range{0, 1000}, Help{"of the mean field; 0 leaves the map unrefined"});
  }
};

/// Mean-field probability of foreground: f32 (H,W). `probability`, f32 (H,W), is each pixel's own probability and is
/// clamped to [1e-5, 1 - 1e-5]. The image (H,W) has 1 or 3 channels; grey counts as r = g = b. Every kernel k is
/// normalised symmetrically: K = D^-1/2 k D^-1/2, D = diag(k 1). With u = logit(probability), it iterates
///
///   z_i = u_i + sum over kernels of weight * sum_j K_ij (2 q_j - 1),   q = sigmoid(z),   starting at q = sigmoid(u)
///
/// This is Potts compatibility, written for the difference of the two labels' energies. Sums over j include i and are
/// computed by the permutohedral lattice, in one thread and bitwise reproducible. Throws Error for other shapes.
Tensor dense_crf(const Image& image, const Tensor& probability, const CrfOptions& options = {});

}  // namespace gt
