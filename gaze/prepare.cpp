#include "gaze/prepare.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "core/check.h"
#include "core/io.h"
#include "core/random.h"
#include "gaze/dicom.h"
#include "gaze/image.h"
#include "gaze/nrrd.h"
#include "gaze/readers.h"

namespace gt {

namespace {

namespace fs = std::filesystem;

// ---- Common to both data sets ---------------------------------------------------------------------------------------

using Names = std::vector<std::string>;

std::string lower(std::string s) {
  for (char& c : s) c = char(std::tolower(uint8_t(c)));
  return s;
}

/// The sorted paths of files below a folder whose extension, in lower case, is one of these.
Names files_below(const std::string& folder, std::initializer_list<std::string_view> extensions) {
  std::error_code error;
  fs::recursive_directory_iterator files(folder, fs::directory_options::follow_directory_symlink, error);
  if (error) fail(folder, ": cannot read the folder: ", error.message());
  Names found;
  for (const fs::directory_entry& entry : files) {
    const std::string extension = lower(entry.path().extension().string());
    if (entry.is_regular_file() && std::find(extensions.begin(), extensions.end(), extension) != extensions.end())
      found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// The share of the names with the smallest hashes; at least one of two or more. The order of the names has no
/// influence.
std::set<std::string> hold_out(Names names, double share) {
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return std::pair(hash64(a), a) < std::pair(hash64(b), b);
  });
  const size_t count = names.size() < 2 ? 0 : std::max<size_t>(1, size_t(std::lround(share * double(names.size()))));
  return {names.begin(), names.begin() + int64_t(count)};
}

void make_folders(const PrepareOptions& options) {
  if (fs::exists(options.out + "/train.txt"))
    fail(options.out, ": holds a data set already, expected a folder without train.txt");
  make_folder(options.out + "/images");
  make_folder(options.out + "/masks");
}

void write_list(const PrepareOptions& options, const std::string& split, const Names& names) {
  std::string lines;
  for (const std::string& name : names) lines += name + "\n";
  write_file(options.out + "/" + split + ".txt", lines);
}

/// Writes gaze.csv with the gaze on these images.
void write_gaze_of(const PrepareOptions& options, const Names& images, Prepared& prepared) {
  if (options.gaze.empty()) return;
  const Gaze gaze = read_gaze(options.gaze);
  std::vector<Track> tracks;
  for (const std::string& name : images)
    if (const auto track = gaze.tracks.find(name); track != gaze.tracks.end()) tracks.push_back(track->second);
  if (tracks.empty()) fail(options.gaze, ": has gaze on none of the ", images.size(), " images");
  write_gaze(options.out + "/gaze.csv", tracks, gaze.simulated);
  if (tracks.size() < images.size())
    prepared.notes.push_back(str_cat(images.size() - tracks.size(), " images have no gaze"));
  if (tracks.size() < gaze.tracks.size())
    prepared.notes.push_back(
        str_cat(gaze.tracks.size() - tracks.size(), " tracks are of images that the data set lacks"));
}

/// Writes lists and gaze. train.txt comes last, as it marks a complete data set.
void finish(const PrepareOptions& options, const Names& train, const Names& val, const Names& test,
            Prepared& prepared) {
  if (train.empty() || val.empty())
    fail(options.raw, ": expected images for training and for validation, got ", train.size(), " and ", val.size());
  Names all = train;
  all.insert(all.end(), val.begin(), val.end());
  all.insert(all.end(), test.begin(), test.end());
  write_gaze_of(options, all, prepared);
  write_list(options, "test", test);
  write_list(options, "val", val);
  write_list(options, "train", train);
  prepared.train = train.size(), prepared.val = val.size(), prepared.test = test.size();
}

// ---- Kvasir-SEG -----------------------------------------------------------------------------------------------------

/// The images of a folder: name to path.
std::map<std::string, std::string> paths_by_name(const std::string& folder) {
  std::map<std::string, std::string> paths;
  for (const std::string& path : files_below(folder, {".jpg", ".png"}))
    if (const auto [at, added] = paths.emplace(image_name(path), path); !added)
      fail(path, ": has the name of ", at->second);
  if (paths.empty()) fail(folder, ": holds no images, expected Kvasir-SEG's NAME.jpg");
  return paths;
}

/// The names in a list, or nothing if the file is missing. Throws Error if a name is not an image's.
std::optional<Names> read_list(const std::string& path, const std::map<std::string, std::string>& images) {
  if (!fs::exists(path)) return std::nullopt;
  Names names;
  for (const TextLine& line : read_lines(path)) {
    names.push_back(image_name(line.text));
    if (!images.count(names.back())) fail(path, ":", line.number, ": there is no image '", names.back(), "'");
  }
  return names;
}

/// Copies an image and writes its mask.
void write_pair(const PrepareOptions& options, const std::string& name, const std::string& image_path,
                const std::string& mask_path) {
  const Image image = read_image(image_path, 1);
  Image mask = read_image(mask_path, 1);
  if (mask.height != image.height || mask.width != image.width)
    fail(mask_path, ": is ", mask.height, "x", mask.width, ", expected ", image.height, "x", image.width,
         " as its image ", image_path);
  for (uint8_t& pixel : mask.pixels) pixel = is_foreground(pixel) ? 255 : 0;
  write_file(options.out + "/images/" + name + lower(fs::path(image_path).extension().string()), read_file(image_path));
  write_png(options.out + "/masks/" + name + ".png", mask);
}

// ---- NCI-ISBI -------------------------------------------------------------------------------------------------------

using Series = std::map<int64_t, std::string>;                          // instance to path
using Patients = std::map<std::string, std::map<std::string, Series>>;  // patient to series UID to series

Patients find_slices(const std::string& raw) {
  Patients patients;
  for (const std::string& path : files_below(raw, {".dcm"})) {
    const DicomHeader header = read_dicom_header(path);
    Series& series = patients[header.patient][header.series];
    if (const auto [at, added] = series.emplace(header.instance, path); !added)
      fail(path, ": is slice ", header.instance, " of its series, like ", at->second);
  }
  if (patients.empty()) fail(raw, ": holds no DICOM slices (.dcm)");
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
  for (const std::string& path : files_below(raw, {".nrrd"})) {
    const std::string below = lower(fs::relative(path, raw).string());
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
/// several have it.
Names slices_of(const Labels& labels, const Volume& volume, const std::map<std::string, Series>& all) {
  Names slices;
  for (const auto& [uid, series] : all) {
    if (int64_t(series.size()) != volume.depth) continue;
    if (!slices.empty()) fail(labels.path, ": fits two series of patient ", labels.patient, ", expected one");
    for (const auto& [instance, path] : series) slices.push_back(path);
  }
  return slices;
}

/// Writes the slices with a label, and returns their names.
Names write_slices(const PrepareOptions& options, const Labels& labels, const Volume& volume, const Names& slices) {
  Names names;
  for (int64_t z = 0; z < volume.depth; ++z) {
    Image mask(volume.height, volume.width, 1);
    for (size_t i = 0; i < mask.pixels.size(); ++i) mask.pixels[i] = volume.slice(z)[i] >= 1 ? 255 : 0;
    if (std::find(mask.pixels.begin(), mask.pixels.end(), 255) == mask.pixels.end()) continue;
    const std::string& slice = slices[size_t(z)];
    const DicomHeader header = read_dicom_header(slice);
    if (header.height != volume.height || header.width != volume.width)
      fail(labels.path, ": is ", volume.height, "x", volume.width, ", expected ", header.height, "x", header.width,
           " as the slice ", slice);
    names.push_back(str_cat(labels.patient, "_", z + 1));
    write_file(options.out + "/images/" + names.back() + ".dcm", read_file(slice));
    write_png(options.out + "/masks/" + names.back() + ".png", mask);
  }
  return names;
}

}  // namespace

Prepared prepare_kvasir_seg(const PrepareOptions& options, const PrepareProgress& progress) {
  const auto images = paths_by_name(options.raw + "/images"), masks = paths_by_name(options.raw + "/masks");
  Prepared prepared;
  Names all;
  for (const auto& [name, path] : images) all.push_back(name);
  const auto given_train = read_list(options.raw + "/train.txt", images),
             given_test = read_list(options.raw + "/test.txt", images);
  if (given_train.has_value() != given_test.has_value())
    fail(options.raw, ": has only one of train.txt and test.txt, expected both or neither");
  const std::set<std::string> test = given_test ? std::set(given_test->begin(), given_test->end()) : hold_out(all, 0.1);
  Names rest;
  for (const std::string& name : given_train ? *given_train : all) {
    if (given_train && test.count(name)) fail(options.raw, ": '", name, "' is in train.txt and in test.txt");
    if (!test.count(name)) rest.push_back(name);
  }
  const std::set<std::string> val = hold_out(rest, options.val);
  Names train, of_val(val.begin(), val.end()), of_test(test.begin(), test.end());
  std::copy_if(rest.begin(), rest.end(), std::back_inserter(train), [&](const auto& name) { return !val.count(name); });

  make_folders(options);
  size_t done = 0;
  const size_t count = rest.size() + test.size();
  for (const auto& [name, path] : images) {
    if (given_train && !test.count(name) && std::find(rest.begin(), rest.end(), name) == rest.end()) continue;
    const auto mask = masks.find(name);
    if (mask == masks.end()) fail(path, ": has no mask, expected ", options.raw, "/masks/", name, ".jpg");
    write_pair(options, name, path, mask->second);
    if (progress) progress(++done, count);
  }
  finish(options, train, of_val, of_test, prepared);
  return prepared;
}

Prepared prepare_nci_isbi(const PrepareOptions& options, const PrepareProgress& progress) {
  Prepared prepared;
  const Patients patients = find_slices(options.raw);
  const std::vector<Labels> labels = find_labels(options.raw, patients, prepared);
  Names trained;
  for (const Labels& l : labels)
    if (!l.test) trained.push_back(l.patient);
  const std::set<std::string> held_out = hold_out(trained, options.val);

  make_folders(options);
  Names train, val, test;
  for (size_t i = 0; i < labels.size(); ++i) {
    const Labels& l = labels[i];
    const Volume volume = read_nrrd(l.path);
    const Names slices = slices_of(l, volume, patients.at(l.patient));
    if (slices.empty())
      prepared.notes.push_back(str_cat(l.patient, ": no series has the ", volume.depth, " slices of its label volume"));
    else
      for (const std::string& name : write_slices(options, l, volume, slices))
        (l.test ? test : held_out.count(l.patient) ? val : train).push_back(name);
    if (progress) progress(i + 1, labels.size());
  }
  finish(options, train, val, test, prepared);
  return prepared;
}

}  // namespace gt
