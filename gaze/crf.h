// Dense conditional random field of two labels (Kraehenbuehl and Koltun, "Efficient Inference in Fully Connected CRFs
// with Gaussian Edge Potentials", NIPS 2011): every pixel is joined to every other, the more strongly the nearer and
// the more alike in colour they are.
#pragma once

#include "core/config.h"
#include "core/tensor.h"
#include "gaze/image.h"

namespace gt {

/// As it is born, what GazeMedSeg refines its heat maps by (METHOD 1).
struct CrfOptions {
  double bilateral = 1;       // weight of the Gaussian of place and colour (Potts compatibility); 0 is none
  double bilateral_xy = 80;   // its standard deviation in place, pixels
  double bilateral_rgb = 13;  // and in colour, of 256 levels
  double gaussian = 0;        // weight of the Gaussian of place alone; 0 is none
  double gaussian_xy = 3;     // its standard deviation, pixels
  int64_t iterations = 10;    // of the mean field; 0 leaves the map as it is

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

/// Mean-field probability of foreground, given `foreground` (height,width), the probability that each pixel has by
/// itself (kept within [1e-5, 1 - 1e-5]), and the image (1 or 3 channels; grey counts as r = g = b) -> (height,width),
/// f32. With u = logit(foreground), and every kernel k normalised symmetrically, K = D^-1/2 k D^-1/2, D = diag(k 1):
///
///   z_i = u_i + sum over kernels of weight * sum_j K_ij (2 q_j - 1),   q = sigmoid(z),   from q = sigmoid(u)
///
/// which is Potts compatibility with the two labels' energies subtracted. Sums over j (i among them) are by the
/// permutohedral lattice. One thread; the same bits every time.
Tensor dense_crf(const Image& image, const Tensor& foreground, const CrfOptions& options = {});

}  // namespace gt
