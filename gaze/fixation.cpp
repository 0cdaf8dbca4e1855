#include "gaze/fixation.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "core/io.h"

namespace gt {

namespace {

std::string quote(const std::string& field) {
  if (field.find_first_of(",\"") == field.npos && trim_blanks(field) == field) return field;
  std::string quoted = "\"";
  for (const char c : field) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

std::string number_text(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

/// The extension of an image or table file that ends a name, or "". Other endings belong to the name.
std::string_view extension_of(std::string_view name) {
  static constexpr std::string_view extensions[] = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff",
                                                    ".gif", ".dcm",  ".csv", ".tsv", ".nii"};
  constexpr std::string_view packed = ".nii.gz";
  if (name.size() > packed.size() && lower(std::string(name)).ends_with(packed))
    return name.substr(name.size() - packed.size());
  const size_t dot = name.rfind('.');
  if (dot == name.npos || dot == 0) return {};
  const std::string extension = lower(std::string(name.substr(dot)));
  const bool known = std::find(std::begin(extensions), std::end(extensions), extension) != std::end(extensions);
  return known ? name.substr(dot) : std::string_view{};
}

}  // namespace

void write_gaze(const std::string& path, const std::vector<Track>& tracks, bool simulated) {
  std::string out =
      "IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION,CURRENT_FIX_START,IMAGE_HEIGHT,"
      "IMAGE_WIDTH";
  out += simulated ? ",SIMULATED\n" : "\n";
  for (const Track& track : tracks)
    for (size_t i = 0; i < track.fixations.size(); ++i) {
      const Fixation& f = track.fixations[i];
      out += quote(track.image) + ',' + std::to_string(i + 1);
      for (const double v : {f.x, f.y, f.duration, f.start}) out += ',' + number_text(v);
      out += ',' + std::to_string(track.image_height) + ',' + std::to_string(track.image_width);
      out += simulated ? ",1\n" : "\n";
    }
  write_file(path, out);
}

std::string image_name(const std::string& path, const std::string& where) {
  const std::string place = where.empty() ? "" : where + ": ";
  std::string name = path.substr(path.find_last_of("/\\") + 1);
  if (!is_utf8(name)) fail(place, quoted(name), " is the name of an image, expected UTF-8");
  name = composed(name);
  for (bool removed = true; removed;) {
    name = trim_blanks(name);
    const size_t rest = name.size() - extension_of(name).size();
    removed = rest < name.size();
    name.resize(rest);
  }
  if (has_controls(name)) fail(place, quoted(name), " is the name of an image, expected no control characters");
  if (name == "." || name == "..") fail(place, "'", name, "' is a folder, expected the name of an image");
  return name;
}

}  // namespace gt
