#include "gaze/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "gaze/mask.h"

namespace gt {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

// ---- Distances between boundaries -----------------------------------------------------------------------------------

/// Squared distances d(p) = min_q s^2 (p - q)^2 + f(q) for samples at the spacing s. They are the lower envelope of
/// parabolas rooted at (q, f(q)), found in linear time. Source: Felzenszwalb and Huttenlocher, "Distance transforms of
/// sampled functions", Theory of Computing 8, 2012.
class LowerEnvelope {
 public:
  explicit LowerEnvelope(int64_t n) : f_(size_t(n)), root_(size_t(n)), from_(size_t(n)) {}

  /// Replaces the n values f[0], f[step], ... by d.
  void operator()(double* f, int64_t n, int64_t step, double spacing) {
    square_ = spacing * spacing;
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
      f[p * step] = square_ * double((p - q) * (p - q)) + f_[size_t(q)];
    }
  }

 private:
  /// Where the parabola rooted at q comes to lie below the one rooted at r < q.
  double crossing(int64_t r, int64_t q) const {
    return (f_[size_t(q)] + square_ * double(q * q) - f_[size_t(r)] - square_ * double(r * r)) /
           (square_ * double(2 * (q - r)));
  }

  double square_ = 1;  // of the spacing
  std::vector<double> f_;
  std::vector<int64_t> root_;
  std::vector<double> from_;
};

bool is_ignored(const Image& label, size_t pixel) { return label.pixels[pixel] == ignored_pixel; }

/// Counted foreground pixels with a neighbour (of 4) in the counted background or outside the image, as indices.
std::vector<int64_t> boundary(const Image& mask, const Image& label) {
  const int64_t h = mask.height, w = mask.width;
  const auto counted = [&](int64_t y, int64_t x) { return !is_ignored(label, size_t(y * w + x)); };
  const auto inside = [&](int64_t y, int64_t x) {
    return y >= 0 && y < h && x >= 0 && x < w && (is_foreground(*mask.at(y, x)) || !counted(y, x));
  };
  std::vector<int64_t> pixels;
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x)
      if (counted(y, x) && inside(y, x) &&
          !(inside(y - 1, x) && inside(y + 1, x) && inside(y, x - 1) && inside(y, x + 1)))
        pixels.push_back(y * w + x);
  return pixels;
}

/// The distance of each pixel of `from` to the nearest of `to` in an image of h x w pixels; infinite if `to` is empty.
std::vector<double> distances(const std::vector<int64_t>& from, const std::vector<int64_t>& to, int64_t h, int64_t w,
                              const PixelSpacing& spacing) {
  std::vector<double> squared(size_t(h * w), infinity);
  for (const int64_t p : to) squared[size_t(p)] = 0;
  LowerEnvelope envelope(std::max(h, w));
  for (int64_t x = 0; x < w; ++x) envelope(squared.data() + x, h, w, spacing.rows);
  for (int64_t y = 0; y < h; ++y) envelope(squared.data() + y * w, w, 1, spacing.columns);
  std::vector<double> result;
  for (const int64_t p : from) result.push_back(std::sqrt(squared[size_t(p)]));
  return result;
}

// ---- The metrics ----------------------------------------------------------------------------------------------------

/// A share with GazeMedSeg's eps: 1 if both numbers are 0.
double share(double part, double whole) { return (part + 1e-7) / (whole + 1e-7); }

double dice(const MaskPair& m) { return share(2 * m.common, m.predicted + m.labelled); }

double iou(const MaskPair& m) { return share(m.common, m.predicted + m.labelled - m.common); }

/// 0 for an empty prediction of a label that is not empty.
double precision(const MaskPair& m) { return m.predicted == 0 && m.labelled > 0 ? 0 : share(m.common, m.predicted); }

/// 0 for a prediction on an empty label.
double recall(const MaskPair& m) { return m.labelled == 0 && m.predicted > 0 ? 0 : share(m.common, m.labelled); }

/// The 95th percentile of both directions' distances together, as medpy's hd95. 0 if both masks are empty, the image's
/// diagonal if one is.
double hausdorff95(const MaskPair& m, const BoundaryDistances& d) {
  if (m.one_is_empty()) return d.diagonal;
  if (d.prediction_to_label.empty() && d.label_to_prediction.empty()) return 0;
  if (d.prediction_to_label.empty() || d.label_to_prediction.empty()) return d.diagonal;
  std::vector<double> distances = d.prediction_to_label;
  distances.insert(distances.end(), d.label_to_prediction.begin(), d.label_to_prediction.end());
  return percentile(std::move(distances), 95);
}

double hausdorff95_px(const MaskPair& m) { return hausdorff95(m, m.pixels); }
double hausdorff95_mm(const MaskPair& m) { return m.mm ? hausdorff95(m, *m.mm) : unknown; }

/// Surface Dice (Nikolov et al., arXiv 1809.04430): the share of both boundaries' pixels within a tolerance of the
/// other boundary. It is 1 if both masks are empty, 0 if one is.
double surface_dice(const MaskPair& m, const BoundaryDistances& d, double tolerance) {
  if (m.one_is_empty()) return 0;
  size_t near = 0;
  for (const std::vector<double>* distances : {&d.prediction_to_label, &d.label_to_prediction})
    near += size_t(std::count_if(distances->begin(), distances->end(), [=](double one) { return one <= tolerance; }));
  const size_t all = d.prediction_to_label.size() + d.label_to_prediction.size();
  return all == 0 ? 1 : double(near) / double(all);
}

double surface_dice_2px(const MaskPair& m) { return surface_dice(m, m.pixels, 2); }
double surface_dice_2mm(const MaskPair& m) { return m.mm ? surface_dice(m, *m.mm, 2) : unknown; }

constexpr Metric table[] = {
    // key, name, unit, decimals, higher is better, compared, function, note
    {"dice", "Dice", "", 3, true, true, dice, ""},
    {"iou", "IoU", "", 3, true, true, iou, ""},
    {"precision", "Precision", "", 3, true, true, precision, ""},
    {"recall", "Recall", "", 3, true, true, recall, ""},
    {"hd95", "HD95", "px", 1, false, true, hausdorff95_px,
     "HD95 is the 95th percentile of the distances between the two outlines, in pixels of the label: less is better."},
    {"surface_dice", "Surface Dice", "", 3, true, true, surface_dice_2px,
     "Surface Dice is the share of both outlines that lies within 2 pixels of the other."},
    {"hd95_mm", "HD95", "mm", 1, false, false, hausdorff95_mm, ""},
    {"surface_dice_mm", "Surface Dice at 2 mm", "", 3, true, false, surface_dice_2mm, ""},
};

}  // namespace

std::span<const Metric> metric_table() { return table; }

double Scores::at(std::string_view key) const {
  for (size_t i = 0; i < std::size(table); ++i)
    if (key == table[i].key) return values.at(i);
  fail("there is no metric '", key, "'");
}

MaskPair::MaskPair(const Image& prediction, const Image& label) {
  GT_CHECK(prediction.height == label.height && prediction.width == label.width && prediction.channels == 1 &&
               label.channels == 1,
           "metrics: prediction is ", prediction.height, "x", prediction.width, "x", prediction.channels, ", label is ",
           label.height, "x", label.width, "x", label.channels, ", expected one size and one channel");
  for (size_t i = 0; i < label.pixels.size(); ++i) {
    if (is_ignored(label, i)) continue;
    const bool in_prediction = is_foreground(prediction.pixels[i]), in_label = is_foreground(label.pixels[i]);
    predicted += in_prediction;
    labelled += in_label;
    common += in_prediction && in_label;
  }
  const std::vector<int64_t> a = boundary(prediction, label), b = boundary(label, label);
  const auto with_spacing = [&](const PixelSpacing& s) {
    return BoundaryDistances{std::hypot(double(label.height) * s.rows, double(label.width) * s.columns),
                             distances(a, b, label.height, label.width, s),
                             distances(b, a, label.height, label.width, s)};
  };
  pixels = with_spacing({1, 1});
  if (label.spacing.known()) mm = with_spacing(label.spacing);
}

Scores score_masks(const Image& prediction, const Image& label) {
  const MaskPair masks(prediction, label);
  Scores scores;
  for (const Metric& metric : table) scores.values.push_back(metric.value(masks));
  return scores;
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
