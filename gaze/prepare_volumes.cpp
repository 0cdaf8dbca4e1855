// Volumes with label volumes, as axial slices.
#include <algorithm>
#include <cmath>
#include <map>

#include "core/check.h"
#include "core/io.h"
#include "gaze/fixation.h"
#include "gaze/prepare_common.h"
#include "gaze/scan.h"

namespace gt {
namespace {

/// The volumes of a folder by their names. Throws Error for two of one name.
std::map<std::string, std::string> volumes_in(const std::string& folder) {
  std::map<std::string, std::string> paths;
  for (const std::string& path : files_below(folder, {".nii", ".gz", ".dcm"})) {
    if (lower(path).ends_with(".gz") && !is_nifti_name(path)) continue;
    const auto [at, added] = paths.emplace(image_name(path, path), path);
    if (!added) fail(path, ": has the same name as ", at->second, ", expected one volume of each name");
  }
  if (paths.empty()) fail(folder, ": expected volumes .nii, .nii.gz or .dcm, there are none");
  return paths;
}

Scan read_scan(const std::string& path) { return is_nifti_name(path) ? read_nifti(path) : read_dicom_scan(path); }

/// Throws Error if a label volume is not of the place and the voxels of its image.
void check_fit(const Scan& image, const Scan& labels) {
  const ScanGeometry &g = image.geometry, &l = labels.geometry;
  if (g.sizes != l.sizes)
    fail(labels.path, ": is ", l.sizes[0], "x", l.sizes[1], "x", l.sizes[2],
         " voxels to left, back and head, expected ", g.sizes[0], "x", g.sizes[1], "x", g.sizes[2], " as ", image.path);
  constexpr double tolerance = 0.1;  // mm, at the corners of the volume
  for (size_t i = 0; i < 3; ++i) {
    bool apart = std::abs(l.origin[i] - g.origin[i]) > tolerance;
    for (size_t c = 0; c < 3; ++c) apart |= std::abs(l.steps[c][i] - g.steps[c][i]) * double(g.sizes[c]) > tolerance;
    if (apart) fail(labels.path, ": lies elsewhere in the patient than ", image.path, ", expected the same place");
  }
  for (const float v : labels.values)
    if (v < 0 || v != std::floor(v))
      fail(labels.path, ": has the value ", v, ", expected labels: whole numbers from 0");
}

/// Writes the slices with a label, and returns their names.
Names write_slices(const PrepareOptions& options, const Scan& image, const Scan& labels) {
  const ScanGeometry& g = image.geometry;
  const int64_t area = g.sizes[0] * g.sizes[1];
  Names names;
  for (int64_t z = 0; z < g.sizes[2]; ++z) {
    Image mask(g.sizes[1], g.sizes[0], 1);
    for (int64_t i = 0; i < area; ++i) mask.pixels[size_t(i)] = labels.values[size_t(z * area + i)] >= 1 ? 255 : 0;
    if (std::find(mask.pixels.begin(), mask.pixels.end(), 255) == mask.pixels.end()) continue;
    names.push_back(image.slice_name(z));
    check_name(image.path, names.back());
    write_file(options.out + "/images/" + names.back() + ".png",
               encode_png16(scan_levels(image, z), g.sizes[1], g.sizes[0]));
    write_png(options.out + "/masks/" + names.back() + ".png", mask);
  }
  return names;
}

}  // namespace

Prepared prepare_volumes(const PrepareOptions& options, const PrepareProgress& progress) {
  const auto images = volumes_in(options.raw + "/images"), masks = volumes_in(options.raw + "/masks");
  Names all, rest;
  for (const auto& [name, path] : images) {
    if (!masks.count(name)) fail(path, ": has no label volume ", name, " in ", options.raw, "/masks");
    all.push_back(name);
  }
  const std::set<std::string> test = hold_out(all, 0.1);
  std::copy_if(all.begin(), all.end(), std::back_inserter(rest), [&](const auto& name) { return !test.count(name); });
  const std::set<std::string> val = hold_out(rest, options.val);

  Prepared prepared;
  NewDataset data_set(options);
  Names train_names, val_names, test_names;
  size_t done = 0;
  for (const auto& [name, path] : images) {
    const Scan image = read_scan(path), labels = read_scan(masks.at(name));
    check_fit(image, labels);
    const Names names = write_slices(options, image, labels);
    Names& part = test.count(name) ? test_names : val.count(name) ? val_names : train_names;
    part.insert(part.end(), names.begin(), names.end());
    if (const int64_t left_out = image.geometry.sizes[2] - int64_t(names.size()); left_out > 0)
      prepared.notes.push_back(str_cat(name, ": left out ", left_out, " slices without a label"));
    if (progress) progress(++done, images.size());
  }
  for (const auto& [name, path] : masks)
    if (!images.count(name)) prepared.notes.push_back(str_cat("left out: ", path, " has no image"));
  data_set.finish(train_names, val_names, test_names, prepared);
  return prepared;
}

}  // namespace gt
