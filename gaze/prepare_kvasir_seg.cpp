// Kvasir-SEG (https://datasets.simula.no/kvasir-seg).
#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "core/check.h"
#include "core/io.h"
#include "core/text.h"
#include "gaze/mask.h"
#include "gaze/prepare_common.h"
#include "gaze/readers.h"

namespace gt {

namespace {

namespace fs = std::filesystem;

/// The images of a folder: name to path.
std::map<std::string, std::string> paths_by_name(const std::string& folder) {
  std::map<std::string, std::string> paths;
  for (const std::string& path : files_below(folder, {".jpg", ".jpeg", ".png"})) {
    const std::string name = image_name(path, path);
    if (name.empty() || name[0] == '.') fail(path, ": has no name, expected NAME.jpg");
    if (const auto [at, added] = paths.emplace(name, path); !added) fail(path, ": has the name of ", at->second);
  }
  if (paths.empty()) fail(folder, ": holds no images, expected Kvasir-SEG's NAME.jpg");
  return paths;
}

/// The names in a list, or nothing if the file is missing. Throws Error if a name is not an image's.
std::optional<Names> read_list(const std::string& path, const std::map<std::string, std::string>& images) {
  if (!path_exists(path)) return std::nullopt;
  Names names;
  for (const TextLine& line : read_lines(path)) {
    names.push_back(image_name(line.text, str_cat(path, ":", line.number)));
    if (!images.count(names.back())) fail(path, ":", line.number, ": there is no image '", names.back(), "'");
  }
  return names;
}

/// Copies an image and writes its mask.
void write_pair(const PrepareOptions& options, const std::string& name, const std::string& image_path,
                const std::string& mask_path, MaskValues& values) {
  const Image image = read_image(image_path, 1);
  const Mask of_file = read_mask(mask_path, options.labels);
  const Image& mask = of_file.image;
  if (mask.height != image.height || mask.width != image.width)
    fail(mask_path, ": is ", mask.height, "x", mask.width, ", expected ", image.height, "x", image.width,
         " as its image ", image_path);
  values.add(of_file, mask_path);
  write_file(options.out + "/images/" + name + lower(fs::path(image_path).extension().string()), read_file(image_path));
  write_png(options.out + "/masks/" + name + ".png", mask);
}

/// Notes files of the download that are no part of the data set.
void note_left_out(const PrepareOptions& options, const std::map<std::string, std::string>& images,
                   const std::map<std::string, std::string>& masks, Prepared& prepared) {
  size_t count = 0;
  std::string first;
  const auto note = [&](const char* what) {
    if (count > 0) prepared.notes.push_back(str_cat("left out: ", count, what, ", such as ", first));
    count = 0;
  };
  for (const auto& [name, path] : masks)
    if (!images.count(name) && count++ == 0) first = path;
  note(" masks without an image");
  for (const std::string& path :
       files_below(options.raw + "/images", {".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm"}))
    if (count++ == 0) first = path;
  note(" images that are neither JPEG nor PNG");
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

  NewDataset data_set(options);
  MaskValues values;
  size_t done = 0;
  const size_t count = rest.size() + test.size();
  for (const auto& [name, path] : images) {
    if (given_train && !test.count(name) && std::find(rest.begin(), rest.end(), name) == rest.end()) continue;
    const auto mask = masks.find(name);
    if (mask == masks.end()) fail(path, ": has no mask, expected ", options.raw, "/masks/", name, ".jpg");
    write_pair(options, name, path, mask->second, values);
    if (progress) progress(++done, count);
  }
  note_left_out(options, images, masks, prepared);
  data_set.finish(train, of_val, of_test, prepared);
  return prepared;
}

}  // namespace gt
