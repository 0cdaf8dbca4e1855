#include "gaze/scan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/check.h"
#include "core/text.h"
#include "gaze/fixation.h"
#include "gaze/gunzip.h"

namespace gt {

namespace {

double length(const Vector3& v) { return std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]); }

std::string vector_text(const Vector3& v) {
  char text[96];
  std::snprintf(text, sizeof text, "(%.9g,%.9g,%.9g)", v[0], v[1], v[2]);
  return text;
}

}  // namespace

std::array<int64_t, 3> ScanGeometry::file_sizes() const {
  std::array<int64_t, 3> of_file = {};
  for (size_t c = 0; c < 3; ++c) of_file[size_t(axes[c])] = sizes[c];
  return of_file;
}

std::array<Vector3, 3> ScanGeometry::file_steps() const {
  std::array<Vector3, 3> of_file = {};
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = 0; i < 3; ++i) of_file[size_t(axes[c])][i] = reversed[c] ? -steps[c][i] : steps[c][i];
  return of_file;
}

Vector3 ScanGeometry::file_origin() const {
  Vector3 first = origin;
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = 0; i < 3; ++i)
      if (reversed[c]) first[i] += double(sizes[c] - 1) * steps[c][i];
  return first;
}

int64_t ScanGeometry::file_index(int64_t x, int64_t y, int64_t z) const {
  std::array<int64_t, 3> place = {};
  const std::array<int64_t, 3> of_scan = {x, y, z}, of_file = file_sizes();
  for (size_t c = 0; c < 3; ++c) place[size_t(axes[c])] = reversed[c] ? sizes[c] - 1 - of_scan[c] : of_scan[c];
  return (place[2] * of_file[1] + place[1]) * of_file[0] + place[0];
}

std::string Scan::slice_name(int64_t z) const {
  char number[32];
  std::snprintf(number, sizeof number, "_z%03d", int(z));
  return image_name(path, path) + number;
}

ScanGeometry scan_geometry(const std::string& path, const std::array<int64_t, 3>& sizes,
                           const std::array<Vector3, 3>& steps, const Vector3& first) {
  for (const Vector3& step : steps)
    if (!(length(step) > 0) || !std::isfinite(length(step)))
      fail(path, ": an axis of the volume has no length, expected its direction in mm");
  // Of the six orders of the axes, that whose axes run most nearly along left, back and head.
  std::array<int, 3> order = {0, 1, 2}, best = order;
  double most = -1;
  do {
    double along = 1;
    for (size_t c = 0; c < 3; ++c) {
      const Vector3& step = steps[size_t(order[c])];
      along *= std::abs(step[c]) / length(step);
    }
    if (along > most) most = along, best = order;
  } while (std::next_permutation(order.begin(), order.end()));
  if (most < 1e-3) fail(path, ": the axes of the volume do not run in three directions");
  ScanGeometry g;
  g.axes = best;
  g.origin = first;
  for (size_t c = 0; c < 3; ++c) {
    const size_t a = size_t(best[c]);
    g.sizes[c] = sizes[a];
    g.reversed[c] = steps[a][c] < 0;
    for (size_t i = 0; i < 3; ++i) {
      g.steps[c][i] = g.reversed[c] ? -steps[a][i] : steps[a][i];
      if (g.reversed[c]) g.origin[i] += double(sizes[a] - 1) * steps[a][i];
    }
  }
  return g;
}

bool is_nifti_name(const std::string& path) {
  const std::string name = lower(path);
  return name.ends_with(".nii") || name.ends_with(".nii.gz");
}

void finish_scan(Scan& scan) {
  const auto [low, high] = std::minmax_element(scan.values.begin(), scan.values.end());
  scan.low = *low, scan.high = *high;
  scan.whole = scan.high - scan.low <= 65535 &&
               std::all_of(scan.values.begin(), scan.values.end(), [](float v) { return v == std::floor(v); });
}

std::vector<uint16_t> scan_levels(const Scan& scan, int64_t z) {
  const int64_t area = scan.geometry.sizes[0] * scan.geometry.sizes[1];
  const float* values = scan.values.data() + z * area;
  const double range = scan.high - scan.low, top = scan.whole ? range : 65535;
  std::vector<uint16_t> levels(static_cast<size_t>(area));
  for (size_t i = 0; i < levels.size(); ++i) {
    const double level = range > 0 ? std::round((double(values[i]) - scan.low) * top / range) : 0;
    levels[i] = uint16_t(scan.inverted && range > 0 ? top - level : level);
  }
  return levels;
}

Image scan_slice(const Scan& scan, int64_t z, int channels, const ReadOptions& options) {
  const ScanGeometry& g = scan.geometry;
  Image image = grey_image(scan_levels(scan, z), g.sizes[1], g.sizes[0], channels, options.stretch);
  image.spacing = {length(g.steps[1]), length(g.steps[0])};
  return image;
}

std::string encode_seg_nrrd(const Scan& scan, const std::vector<uint8_t>& mask) {
  const ScanGeometry& g = scan.geometry;
  std::array<int64_t, 6> extent = {g.sizes[0], -1, g.sizes[1], -1, g.sizes[2], -1};
  const uint8_t* value = mask.data();
  for (int64_t z = 0; z < g.sizes[2]; ++z)
    for (int64_t y = 0; y < g.sizes[1]; ++y)
      for (int64_t x = 0; x < g.sizes[0]; ++x)
        if (*value++) {
          extent = {std::min(extent[0], x), std::max(extent[1], x), std::min(extent[2], y),
                    std::max(extent[3], y), std::min(extent[4], z), std::max(extent[5], z)};
        }
  if (extent[1] < 0) extent = {0, -1, 0, -1, 0, -1};
  std::string extent_text;
  for (const int64_t bound : extent) extent_text += (extent_text.empty() ? "" : " ") + std::to_string(bound);
  const std::string bytes(mask.begin(), mask.end());
  return str_cat(
             "NRRD0004\n# written by GradTrack\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\n",
             "sizes: ", g.sizes[0], " ", g.sizes[1], " ", g.sizes[2], "\nspace directions: ", vector_text(g.steps[0]),
             " ", vector_text(g.steps[1]), " ", vector_text(g.steps[2]),
             "\nkinds: domain domain domain\nencoding: gzip\nspace origin: ", vector_text(g.origin), "\n",
             "Segment0_Color:=0.25 0.88 1\nSegment0_ColorAutoGenerated:=1\nSegment0_Extent:=", extent_text,
             "\nSegment0_ID:=Segment_1\nSegment0_LabelValue:=1\nSegment0_Layer:=0\nSegment0_Name:=prediction\n",
             "Segment0_NameAutoGenerated:=0\nSegmentation_ContainedRepresentationNames:=Binary labelmap|\n",
             "Segmentation_MasterRepresentation:=Binary labelmap\nSegmentation_ReferenceImageExtentOffset:=0 0 0\n\n") +
         gzip(bytes);
}

}  // namespace gt
