#include "gaze/fixation.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
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

std::string image_name(const std::string& path) {
  // A name with a dot must survive writing and reading, so other endings stay.
  static constexpr std::string_view extensions[] = {".jpg",  ".jpeg", ".png", ".bmp", ".tif",
                                                    ".tiff", ".gif",  ".dcm", ".csv", ".tsv"};
  const std::filesystem::path file = std::filesystem::path(path).filename();
  std::string extension = file.extension().string();
  for (char& c : extension) c = char(std::tolower(uint8_t(c)));
  const bool known = std::find(std::begin(extensions), std::end(extensions), extension) != std::end(extensions);
  return known ? file.stem().string() : file.string();
}

}  // namespace gt
