#include "tools/gaze_options.h"

#include <charconv>
#include <string>
#include <vector>

namespace gt {

namespace {

/// "A,B,C" -> numbers, as many as `count`, the last two of them (a size) above 0. Throws CLI::ValidationError.
std::vector<double> numbers(const char* option, const std::string& text, char separator, size_t count,
                            const char* expected) {
  std::vector<double> values;
  const char *at = text.data(), *end = at + text.size();
  while (values.size() < count) {
    double value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    const bool last = values.size() + 1 == count;
    if (error != std::errc{} || (last ? next != end : next == end || *next != separator)) break;
    if (values.size() + 2 >= count && !(value > 0)) break;
    values.push_back(value);
    at = next + 1;
  }
  if (values.size() != count)
    throw CLI::ValidationError(option, "expected " + std::string(expected) + ", got '" + text + "'");
  return values;
}

}  // namespace

void add_reading_options(CLI::App& command, GazeOptions& options) {
  Viewing& v = options.viewing;
  command
      .add_option("--format", options.format,
                  "of the gaze: auto (by its header), gazemedseg, eyelink, tobii, pupil, plain")
      ->check(CLI::IsMember({"auto", "gazemedseg", "eyelink", "tobii", "pupil", "plain"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--screen",
          [&v](const std::string& text) {
            const auto n = numbers("--screen", text, 'x', 2, "WIDTHxHEIGHT in pixels, such as 1920x1080");
            v.screen_width = n[0], v.screen_height = n[1];
          },
          "the screen, pixels; the image filled it unless one of the next two says otherwise")
      ->type_name("WxH");
  auto* rect = command
                   .add_option_function<std::string>(
                       "--image-rect",
                       [&v](const std::string& text) {
                         const auto n = numbers("--image-rect", text, ',', 4,
                                                "X,Y,WIDTH,HEIGHT in pixels from the screen's top left corner");
                         v.image = {n[0], n[1], n[2], n[3]};
                       },
                       "where on the screen the image was shown, pixels")
                   ->type_name("X,Y,W,H");
  command
      .add_option_function<std::string>(
          "--image-size",
          [&v](const std::string& text) {
            const auto n = numbers("--image-size", text, 'x', 2, "WIDTHxHEIGHT in pixels, such as 768x768");
            if (v.screen_width == 0) throw CLI::ValidationError("--image-size", "expected --screen WxH too");
            v.image = {(v.screen_width - n[0]) / 2, (v.screen_height - n[1]) / 2, n[0], n[1]};
          },
          "the size that the image was shown at, in the middle of the screen, pixels")
      ->excludes(rect)
      ->type_name("WxH");
  command.add_option("--image-column", options.image_column, "eyelink: trial variable that names the image (IMAGE)")
      ->type_name("NAME");
  command.add_option("--recording", options.recording, "the one to read of a file with several recordings")
      ->type_name("NAME");
}

void add_detection_options(CLI::App& command, GazeOptions& options) {
  DetectOptions& d = options.detect;
  const auto positive = CLI::Range(1e-6, 1e6);
  auto* method =
      command.add_option("--detect", d.method, "the file holds samples: make fixations of them by idt or ivt")
          ->check(CLI::IsMember({"idt", "ivt"}))
          ->type_name("METHOD");
  const auto detection = [&](const char* name, double& value, const char* help) {
    command.add_option(name, value, help)->check(CLI::Range(0.0, 1e6))->needs(method)->capture_default_str();
  };
  detection("--dispersion", d.dispersion, "idt: most that a fixation spreads, degrees (pixels without --distance)");
  detection("--velocity", d.velocity, "ivt: speed that a saccade begins at, degrees or pixels per second");
  detection("--window", d.window, "ivt: time that a speed is measured over, ms; 0 from sample to sample");
  detection("--min-fixation", d.min_duration, "least time from a fixation's first sample to its last, ms");
  detection("--max-gap", d.max_gap, "time without a sample that ends a fixation, ms");
  auto* distance = command
                       .add_option("--distance", options.viewing.distance_mm,
                                   "from the eye to the screen, mm; thresholds are then in degrees")
                       ->check(positive)
                       ->needs(method);
  auto* width = command.add_option("--screen-mm", options.viewing.screen_mm, "the screen's width, mm")->check(positive);
  distance->needs(width);
  width->needs(distance);
}

}  // namespace gt
