#include "gaze/crf.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "gaze/permutohedral.h"
#include "kernels/common/math.h"

namespace gt {
namespace {

/// weight * D^-1/2 k D^-1/2 for a Gaussian k in D dimensions.
template <int D>
class NormalizedKernel {
 public:
  NormalizedKernel(const std::vector<std::array<float, D>>& positions, double weight)
      : lattice_(positions), root_(positions.size(), 1.0f), scratch_(positions.size()), weight_(float(weight)) {
    lattice_.filter(root_.data(), root_.data());
    for (float& r : root_) r = 1 / std::sqrt(r);  // above 0, as a sum includes the point itself
  }

  /// z += this x.
  void add_product(const std::vector<float>& x, std::vector<float>& z) {
    for (size_t i = 0; i < x.size(); ++i) scratch_[i] = root_[i] * x[i];
    lattice_.filter(scratch_.data(), scratch_.data());
    for (size_t i = 0; i < x.size(); ++i) z[i] += weight_ * root_[i] * scratch_[i];
  }

 private:
  PermutohedralLattice<D> lattice_;
  std::vector<float> root_, scratch_;
  float weight_;
};

/// The positions (x, y) of all pixels in standard deviations.
std::vector<std::array<float, 2>> pixel_positions(const Image& image, double xy) {
  std::vector<std::array<float, 2>> positions;
  positions.reserve(size_t(image.height * image.width));
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x) positions.push_back({float(double(x) / xy), float(double(y) / xy)});
  return positions;
}

/// The positions and colours (x, y, r, g, b) of all pixels in standard deviations.
std::vector<std::array<float, 5>> pixel_positions_and_colours(const Image& image, double xy, double rgb) {
  std::vector<std::array<float, 5>> positions;
  positions.reserve(size_t(image.height * image.width));
  const int64_t green = image.channels == 3 ? 1 : 0, blue = image.channels == 3 ? 2 : 0;
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x) {
      const uint8_t* pixel = image.at(y, x);
      const auto level = [&](int64_t c) { return float(pixel[c] / rgb); };
      positions.push_back({float(double(x) / xy), float(double(y) / xy), level(0), level(green), level(blue)});
    }
  return positions;
}

}  // namespace

Tensor dense_crf(const Image& image, const Tensor& probability, const CrfOptions& options) {
  const Shape shape{image.height, image.width};
  GT_CHECK(image.channels == 1 || image.channels == 3, "dense_crf: the image has ", image.channels,
           " channels, expected 1 or 3");
  GT_CHECK(probability.shape() == shape && probability.dtype() == DType::f32 && probability.device() == Device::cpu,
           "dense_crf: the map is ", probability.dtype(), " ", probability.shape(), ", expected f32 ", shape,
           " as the image");
  const size_t pixels = size_t(probability.size());
  std::vector<float> unary(pixels), field(pixels), z;
  for (size_t i = 0; i < pixels; ++i) {
    const double p = std::clamp(double(probability.data<float>()[i]), 1e-5, 1 - 1e-5);
    unary[i] = float(std::log(p / (1 - p)));
  }
  std::vector<NormalizedKernel<5>> bilateral;
  std::vector<NormalizedKernel<2>> gaussian;
  if (options.bilateral > 0)
    bilateral.emplace_back(pixel_positions_and_colours(image, options.bilateral_xy, options.bilateral_rgb),
                           options.bilateral);
  if (options.gaussian > 0) gaussian.emplace_back(pixel_positions(image, options.gaussian_xy), options.gaussian);

  z = unary;
  for (int64_t k = 0; k < options.iterations; ++k) {
#pragma omp simd
    for (size_t i = 0; i < pixels; ++i) field[i] = 2 * math::sigmoid(z[i]) - 1;
    z = unary;
    for (auto& kernel : bilateral) kernel.add_product(field, z);
    for (auto& kernel : gaussian) kernel.add_product(field, z);
  }
  Tensor q(shape);
  for (size_t i = 0; i < pixels; ++i) q.data<float>()[i] = math::sigmoid(z[i]);
  return q;
}

}  // namespace gt
