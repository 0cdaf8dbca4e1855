#include "models/data_record.h"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <vector>

namespace gt {
namespace {

using Words = std::vector<std::string>;

const Words parts = {"image", "mask", "label", "gaze"};  // in the order of their digests

/// A digest of bytes, or "" of none.
std::string digest(const void* data, size_t size, const std::string& shape = "") {
  if (size == 0) return "";
  uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(shape.data()), shape.size());
  crc = crc32_z(crc, static_cast<const Bytef*>(data), size);
  char text[16];
  std::snprintf(text, sizeof text, "%08x", unsigned(crc));
  return text;
}

std::string digest(const Image& image) {
  return digest(image.pixels.data(), image.pixels.size(), str_cat(image.height, "x", image.width, "x", image.channels));
}

std::string digest(const Track& track) {
  std::vector<double> values;
  for (const Fixation& f : track.fixations) values.insert(values.end(), {f.x, f.y, f.duration, f.start});
  return digest(values.data(), values.size() * sizeof(double));
}

/// The rows of a split: name and digests. Throws Error, naming `where`, if there are none.
std::vector<Words> rows_of(const Json& record, const char* split, const std::string& where) {
  try {
    return json_list(record, split, where).get<std::vector<Words>>();
  } catch (const nlohmann::detail::exception&) {
    fail(where, ": expected lists of strings under '", split, "'");
  }
}

}  // namespace

Dataset load_recorded(const DataOptions& options, const std::string& split, const DataNeeds& needs, LoadHooks hooks,
                      Json& record) {
  std::vector<std::string> images;
  std::mutex growing;
  const auto add_image = [&, more = hooks.sample](Dataset& dataset, size_t i, const Image& image) {
    const std::string found = digest(image);
    {
      const std::lock_guard lock(growing);
      images.resize(dataset.samples.size());
      images[i] = found;
    }
    if (more) more(dataset, i, image);
  };
  hooks.sample = add_image;
  Dataset dataset = load_dataset(options, split, needs, hooks);
  Json& rows = record[split] = Json::array();
  for (size_t i = 0; i < dataset.samples.size(); ++i) {
    const Sample& s = dataset.samples[i];
    rows.push_back(Json::array({s.name, images[i], digest(s.mask), digest(s.label), digest(s.track)}));
  }
  return dataset;
}

std::string first_data_difference(const Json& before, const Json& now, const std::string& where) {
  for (const char* split : {"train", "val"}) {
    const std::vector<Words> old = rows_of(before, split, where), rows = rows_of(now, split, where);
    for (size_t i = 0; i < std::min(old.size(), rows.size()); ++i) {
      if (old[i].size() != parts.size() + 1) fail(where, ": expected ", parts.size() + 1, " strings an image");
      if (old[i][0] != rows[i][0])
        return str_cat(split, " image ", i + 1, " was '", old[i][0], "', is '", rows[i][0], "'");
      for (size_t part = 0; part < parts.size(); ++part)
        if (old[i][part + 1] != rows[i][part + 1])
          return str_cat("the ", parts[part], " of ", split, " image '", rows[i][0], "' is another one");
    }
    if (old.size() != rows.size()) return str_cat("split ", split, " had ", old.size(), " images, has ", rows.size());
  }
  return "";
}

}  // namespace gt
