#include "gaze/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"

namespace gt {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Squared distances by Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", Theory of Computing
/// 8, 2012: d(p) = min_q (p - q)^2 + f(q) is the lower envelope of the parabolas rooted at (q, f(q)), found in linear
/// time.
class LowerEnvelope {
 public:
  explicit LowerEnvelope(int64_t n) : f_(size_t(n)), root_(size_t(n)), from_(size_t(n)) {}

  /// Replaces the n values f[0], f[step], ... by d.
  void operator()(double* f, int64_t n, int64_t step) {
    size_t count = 0;  // parabolas in the envelope; parabola k is the lowest from from_[k] to from_[k + 1]
    for (int64_t q = 0; q < n; ++q) {
      f_[size_t(q)] = f[q * step];
      if (f_[size_t(q)] == infinity) continue;
      double from = -infinity;
      while (count > 0 && (from = crossing(root_[count - 1], q)) <= from_[count - 1]) --count;
      root_[count] = q;
      from_[count++] = from;
    }
    for (int64_t p = 0, k = 0; p < n && count > 0; ++p) {
      while (size_t(k) + 1 < count && from_[size_t(k) + 1] < double(p)) ++k;
      const int64_t q = root_[size_t(k)];
      f[p * step] = double((p - q) * (p - q)) + f_[size_t(q)];
    }
  }

 private:
  /// Where the parabola rooted at q comes to lie below the one rooted at r < q.
  double crossing(int64_t r, int64_t q) const {
    return (f_[size_t(q)] + double(q * q) - f_[size_t(r)] - double(r * r)) / double(2 * (q - r));
  }

  std::vector<double> f_;
  std::vector<int64_t> root_;
  std::vector<double> from_;
};

/// Foreground pixels with a neighbour (of 4) in the background or outside the image, as indices.
std::vector<int64_t> boundary(const Image& mask) {
  const int64_t h = mask.height, w = mask.width;
  const auto inside = [&](int64_t y, int64_t x) {
    return y >= 0 && y < h && x >= 0 && x < w && foreground(*mask.at(y, x));
  };
  std::vector<int64_t> pixels;
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x)
      if (inside(y, x) && !(inside(y - 1, x) && inside(y + 1, x) && inside(y, x - 1) && inside(y, x + 1)))
        pixels.push_back(y * w + x);
  return pixels;
}

/// Appends the distance of each pixel of `from` to the nearest of `to`.
void append_distances(const std::vector<int64_t>& from, const std::vector<int64_t>& to, int64_t h, int64_t w,
                      std::vector<double>& distances) {
  std::vector<double> squared(size_t(h * w), infinity);
  for (const int64_t p : to) squared[size_t(p)] = 0;
  LowerEnvelope envelope(std::max(h, w));
  for (int64_t x = 0; x < w; ++x) envelope(squared.data() + x, h, w);
  for (int64_t y = 0; y < h; ++y) envelope(squared.data() + y * w, w, 1);
  for (const int64_t p : from) distances.push_back(std::sqrt(squared[size_t(p)]));
}

double hausdorff95(const Image& prediction, const Image& label) {
  const int64_t h = label.height, w = label.width;
  const std::vector<int64_t> a = boundary(prediction), b = boundary(label);
  if (a.empty() && b.empty()) return 0;
  if (a.empty() || b.empty()) return std::hypot(double(h), double(w));
  std::vector<double> distances;
  append_distances(a, b, h, w, distances);
  append_distances(b, a, h, w, distances);
  return percentile(std::move(distances), 95);
}

}  // namespace

Scores score(const Image& prediction, const Image& label) {
  GT_CHECK(prediction.height == label.height && prediction.width == label.width && prediction.channels == 1 &&
               label.channels == 1,
           "score: prediction is ", prediction.height, "x", prediction.width, "x", prediction.channels, ", label is ",
           label.height, "x", label.width, "x", label.channels, ", expected one size and one channel");
  double p = 0, t = 0, both = 0;
  for (size_t i = 0; i < label.pixels.size(); ++i) {
    const bool in_p = foreground(prediction.pixels[i]), in_t = foreground(label.pixels[i]);
    p += in_p;
    t += in_t;
    both += in_p && in_t;
  }
  const auto ratio = [](double part, double whole) { return (part + 1e-7) / (whole + 1e-7); };
  Scores s;
  s.dice = ratio(2 * both, p + t);
  s.iou = ratio(both, p + t - both);
  s.precision = p == 0 && t > 0 ? 0 : ratio(both, p);  // predicting nothing is not precise where there is something
  s.recall = t == 0 && p > 0 ? 0 : ratio(both, t);
  s.hd95 = hausdorff95(prediction, label);
  return s;
}

double percentile(std::vector<double> values, double percent) {
  GT_CHECK(!values.empty(), "percentile: no values");
  const double rank = percent / 100 * double(values.size() - 1);
  const auto low = values.begin() + int64_t(rank);
  std::nth_element(values.begin(), low, values.end());
  const double above = low + 1 < values.end() ? *std::min_element(low + 1, values.end()) : *low;
  return *low + (above - *low) * (rank - std::floor(rank));
}

MeanStd mean_std(const std::vector<double>& values) {
  GT_CHECK(!values.empty(), "mean_std: no values");
  const double n = double(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  for (const double v : values) squares += (v - sum / n) * (v - sum / n);
  return {sum / n, n > 1 ? std::sqrt(squares / (n - 1)) : 0};
}

}  // namespace gt
