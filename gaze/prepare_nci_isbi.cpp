// NCI-ISBI 2013 (https://www.cancerimagingarchive.net/analysis-result/isbi-mr-prostate-2013).
#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "core/check.h"
#include "core/io.h"
#include "gaze/dicom.h"
#include "gaze/image.h"
#include "gaze/nrrd.h"
#include "gaze/prepare_common.h"

namespace gt {

namespace {

namespace fs = std::filesystem;

struct Slice {
  std::string path;
  DicomHeader header;
};

struct Series {
  std::map<int64_t, Slice> slices;  // by instance
  std::string repeated;             // path of a slice whose instance another one has; "": none
};

using Patients = std::map<std::string, std::map<std::string, Series>>;  // patient to series UID to series

/// Whether a file begins as DICOM does.
bool begins_as_dicom(const std::string& path) {
  char start[256];
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path, ": cannot open");
  file.read(start, sizeof start);
  return is_dicom(std::string_view(start, size_t(file.gcount())));
}

/// Files that are passed over, counted by reason, with an example.
class PassedOver {
 public:
  void add(const char* reason, const std::string& path) {
    auto& [count, example] = files_[reason];
    if (count++ == 0) example = path;
  }
  void note(Prepared& prepared) const {
    for (const auto& [reason, entry] : files_)
      prepared.notes.push_back(
          str_cat("passed over: ", entry.first, " files that ", reason, ", such as ", entry.second));
  }

 private:
  std::map<std::string, std::pair<size_t, std::string>> files_;
};

Patients find_slices(const std::string& raw, Prepared& prepared) {
  Patients patients;
  PassedOver passed_over;
  for (const std::string& path : files_below(raw, {".dcm"})) {
    if (!begins_as_dicom(path)) {
      passed_over.add("are not DICOM", path);
      continue;
    }
    DicomHeader header = read_dicom_header(path);
    if (header.height == 0 || header.width == 0 || !header.instance) {
      passed_over.add(header.instance ? "hold no image" : "have no InstanceNumber", path);
      continue;
    }
    Series& series = patients[header.patient][header.series];
    const auto [at, added] = series.slices.try_emplace(*header.instance, Slice{path, header});
    if (added) continue;
    if (read_file(path) == read_file(at->second.path))
      passed_over.add("are copies", path);
    else
      series.repeated = path;
  }
  if (patients.empty()) fail(raw, ": holds no DICOM slices (.dcm)");
  passed_over.note(prepared);
  return patients;
}

/// A label volume.
struct Labels {
  std::string patient, path;
  bool test = false;
};

/// The patient whose name begins the file's name, or "".
std::string patient_of(const std::string& path, const Patients& patients) {
  const std::string file = fs::path(path).stem().string();
  for (const auto& [patient, series] : patients)
    if (!patient.empty() && file.starts_with(patient) &&
        (file.size() == patient.size() || !std::isalnum(uint8_t(file[patient.size()]))))
      return patient;
  return "";
}

std::vector<Labels> find_labels(const std::string& raw, const Patients& patients, Prepared& prepared) {
  std::map<std::string, Labels> found;
  for (const std::string& path : files_below(raw, {".nrrd", ".nhdr"})) {
    const std::string below = lower(fs::path(path).lexically_relative(raw).string());
    if (below.find("leaderboard") != below.npos) continue;
    const bool train = below.find("train") != below.npos, test = below.find("test") != below.npos;
    if (train == test) fail(path, ": expected a folder named training or test, to know which part this belongs to");
    const std::string patient = patient_of(path, patients);
    if (patient.empty()) {
      prepared.notes.push_back(fs::path(path).filename().string() + ": there are no slices of this patient");
      continue;
    }
    if (const auto [at, added] = found.try_emplace(patient, Labels{patient, path, test}); !added)
      fail(path, ": is of patient ", patient, ", like ", at->second.path, ": expected one label volume per patient");
  }
  if (found.empty()) fail(raw, ": holds no label volumes (.nrrd) of the patients with slices");
  std::vector<Labels> labels;
  for (const auto& [patient, of_patient] : found) labels.push_back(of_patient);
  return labels;
}

/// The slices, in order, of the series with the volume's number of slices; none if no series has it. Throws Error if
/// several have it, or if two of its slices have one instance.
std::vector<Slice> slices_of(const Labels& labels, const Volume& volume, const std::map<std::string, Series>& all) {
  std::vector<Slice> slices;
  for (const auto& [uid, series] : all) {
    if (int64_t(series.slices.size()) != volume.depth) continue;
    if (!slices.empty()) fail(labels.path, ": fits two series of patient ", labels.patient, ", expected one");
    if (!series.repeated.empty()) fail(series.repeated, ": another slice of its series has its InstanceNumber");
    for (const auto& [instance, slice] : series.slices) slices.push_back(slice);
  }
  return slices;
}

// ---- Directions of a volume's axes ----------------------------------------------------------------------------------

using Vector = std::array<double, 3>;

double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/// The directions of rows, of columns and of rising InstanceNumber. Slices without a place are taken as axial, from
/// the feet to the head.
std::array<Vector, 3> axes_of(const std::vector<Slice>& slices) {
  const auto &first = slices.front().header.place, &last = slices.back().header.place;
  if (!first || !last) return {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  const Vector &r = first->right, &d = first->down;
  Vector across = {r[1] * d[2] - r[2] * d[1], r[2] * d[0] - r[0] * d[2], r[0] * d[1] - r[1] * d[0]};
  Vector step = {};
  for (size_t i = 0; i < 3; ++i) step[i] = last->position[i] - first->position[i];
  if (dot(step, across) < 0)
    for (double& c : across) c = -c;
  return {r, d, across};
}

/// Whether each axis of the volume runs against the slices'. Throws Error if an axis runs along another one's.
std::array<bool, 3> flips_of(const Labels& labels, const Volume& volume, const std::vector<Slice>& slices) {
  std::array<bool, 3> flips = {};
  if (!volume.directions) return flips;
  const std::array<Vector, 3> axes = axes_of(slices);
  const bool placed = slices.front().header.place && slices.back().header.place;
  for (size_t i = 0; i < 3; ++i) {
    const Vector& direction = (*volume.directions)[i];
    const double cosine = dot(direction, axes[i]) / std::sqrt(dot(direction, direction) * dot(axes[i], axes[i]));
    if (!(std::abs(cosine) > 0.9))
      fail(labels.path, ": field 'space directions': axis ", i + 1, " does not run along the ",
           i == 0   ? "rows"
           : i == 1 ? "columns"
                    : "order",
           " of the slices, expected the axes x, y and slice");
    flips[i] = cosine < 0;
    if (flips[i] && !placed)
      fail(labels.path, ": field 'space directions': axis ", i + 1,
           " runs backwards, and the slices have no ImagePositionPatient and ImageOrientationPatient to compare with");
  }
  return flips;
}

/// Reverses the volume's axes that run against the slices'.
void align(const Labels& labels, const std::vector<Slice>& slices, Volume& volume, Prepared& prepared) {
  const auto [flip_x, flip_y, flip_z] = flips_of(labels, volume, slices);
  if (!flip_x && !flip_y && !flip_z) return;
  const Volume as_stored = volume;
  for (int64_t z = 0; z < volume.depth; ++z)
    for (int64_t y = 0; y < volume.height; ++y) {
      const int32_t* from =
          as_stored.slice(flip_z ? volume.depth - 1 - z : z) + (flip_y ? volume.height - 1 - y : y) * volume.width;
      int32_t* to = volume.slice(z) + y * volume.width;
      flip_x ? std::reverse_copy(from, from + volume.width, to) : std::copy_n(from, volume.width, to);
    }
  prepared.notes.push_back(str_cat(labels.patient, ": reversed axes of the label volume, which run against the slices:",
                                   flip_x ? " x" : "", flip_y ? " y" : "", flip_z ? " z" : ""));
}

/// Writes the slices with a label, and returns their names.
Names write_slices(const PrepareOptions& options, const Labels& labels, const Volume& volume,
                   const std::vector<Slice>& slices) {
  Names names;
  for (int64_t z = 0; z < volume.depth; ++z) {
    Image mask(volume.height, volume.width, 1);
    for (size_t i = 0; i < mask.pixels.size(); ++i) mask.pixels[i] = volume.slice(z)[i] >= 1 ? 255 : 0;
    if (std::find(mask.pixels.begin(), mask.pixels.end(), 255) == mask.pixels.end()) continue;
    const Slice& slice = slices[size_t(z)];
    if (slice.header.height != volume.height || slice.header.width != volume.width)
      fail(labels.path, ": is ", volume.height, "x", volume.width, ", expected ", slice.header.height, "x",
           slice.header.width, " as the slice ", slice.path);
    names.push_back(str_cat(labels.patient, "_", z + 1));
    check_name(slice.path, names.back());
    write_file(options.out + "/images/" + names.back() + ".dcm", read_file(slice.path));
    write_png(options.out + "/masks/" + names.back() + ".png", mask);
  }
  return names;
}

}  // namespace

Prepared prepare_nci_isbi(const PrepareOptions& options, const PrepareProgress& progress) {
  Prepared prepared;
  const Patients patients = find_slices(options.raw, prepared);
  const std::vector<Labels> labels = find_labels(options.raw, patients, prepared);
  Names trained;
  for (const Labels& l : labels)
    if (!l.test) trained.push_back(l.patient);
  const std::set<std::string> held_out = hold_out(trained, options.val);

  NewDataset data_set(options);
  Names train, val, test;
  for (size_t i = 0; i < labels.size(); ++i) {
    const Labels& l = labels[i];
    Volume volume = read_nrrd(l.path);
    const std::vector<Slice> slices = slices_of(l, volume, patients.at(l.patient));
    if (slices.empty()) {
      prepared.notes.push_back(str_cat(l.patient, ": no series has the ", volume.depth, " slices of its label volume"));
    } else {
      align(l, slices, volume, prepared);
      for (const std::string& name : write_slices(options, l, volume, slices))
        (l.test ? test : held_out.count(l.patient) ? val : train).push_back(name);
    }
    if (progress) progress(i + 1, labels.size());
  }
  data_set.finish(train, val, test, prepared);
  return prepared;
}

}  // namespace gt
