#include "tools/gaze_options.h"

#include <string>
#include <vector>

#include "core/check.h"
#include "gaze/formats.h"
#include "tools/numbers.h"

namespace gt {

void add_reading_options(CLI::App& command, GazeOptions& options) {
  Viewing& v = options.viewing;
  std::vector<std::string> formats = format_names();
  formats.insert(formats.begin(), "auto");
  command.add_option("--format", options.format, "format of the gaze: auto (by its header), " + format_list())
      ->check(CLI::IsMember(formats))
      ->type_name("FORMAT")
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--screen",
          [&v](const std::string& text) {
            const auto n = parse_numbers("--screen", text, 'x', 2, "WIDTHxHEIGHT in pixels, such as 1920x1080");
            v.screen_width = n[0], v.screen_height = n[1];
          },
          "size of the screen, pixels; the image fills it unless --image-rect or --image-size is given")
      ->type_name("WxH");
  auto* rect = command
                   .add_option_function<std::string>(
                       "--image-rect",
                       [&v](const std::string& text) {
                         const auto n = parse_numbers("--image-rect", text, ',', 4,
                                                      "X,Y,WIDTH,HEIGHT in pixels from the screen's top left corner");
                         v.image = {n[0], n[1], n[2], n[3]};
                       },
                       "rectangle of the image on the screen, pixels")
                   ->type_name("X,Y,W,H");
  command
      .add_option_function<std::string>(
          "--image-size",
          [&v](const std::string& text) {
            const auto n = parse_numbers("--image-size", text, 'x', 2, "WIDTHxHEIGHT in pixels, such as 768x768");
            v.image_width = n[0], v.image_height = n[1];
            if (v.screen_width > 0) v.centre_image();
          },
          "size of the image in the centre of the screen, pixels")
      ->excludes(rect)
      ->type_name("WxH");
  const auto choice = [&](const char* name, std::string& value, std::vector<std::string> words,
                          const std::string& help) {
    return command.add_option(name, value, help)->check(CLI::IsMember(std::move(words)))->type_name("WORD");
  };
  choice("--unit", options.unit, {"px", "share"},
         format_list(GazeFormat::unit) + ": positions whose column does not say it are px (of the screen) or share");
  choice("--time-unit", options.time_unit, {"s", "ms", "us", "ns"},
         format_list(GazeFormat::time_unit) + ": unit of times whose column does not say it");
  choice("--decimal", options.decimal, {"auto", "point", "comma"}, "decimal mark; auto: by the file's numbers")
      ->capture_default_str();
  choice("--encoding", options.encoding, {"auto", "latin1"}, "of the text; auto: UTF-8, UTF-16 or else Latin-1")
      ->capture_default_str();
  command
      .add_option("--image-column", options.image_column,
                  format_list(GazeFormat::image_column) + ": trial variable with the name of the image (default IMAGE)")
      ->type_name("NAME");
  command
      .add_option("--image-message", options.image_message,
                  format_list(GazeFormat::messages) +
                      ": beginning of the messages that name the image (default !V IMGLOAD and others)")
      ->type_name("TEXT");
  command
      .add_option("--onset-message", options.onset_message,
                  format_list(GazeFormat::messages) +
                      ": beginning of the message with which the image appeared (default DISPLAY ON or SYNCTIME)")
      ->type_name("TEXT");
  choice("--eye", options.eye, {"left", "right"},
         format_list(GazeFormat::eye) + ": of recordings of both eyes (default the right one)");
  command
      .add_option("--recording", options.recording,
                  format_list(GazeFormat::recording) + ": recording to read, if the file has several")
      ->type_name("NAME");
}

void add_detection_options(CLI::App& command, GazeOptions& options) {
  DetectOptions& d = options.detect;
  const auto positive = CLI::Range(1e-6, 1e6);
  auto* method =
      command
          .add_option("--detect", d.method,
                      format_list(GazeFormat::detect) + ": detect fixations in samples by I-DT (idt) or I-VT (ivt)")
          ->check(CLI::IsMember({"idt", "ivt"}))
          ->type_name("METHOD");
  const auto detection = [&](const char* name, double& value, const char* help) {
    command.add_option(name, value, help)->check(CLI::Range(0.0, 1e6))->needs(method)->capture_default_str();
  };
  detection("--dispersion", d.dispersion, "idt: maximum dispersion of a fixation, degrees (pixels without --distance)");
  detection("--velocity", d.velocity, "ivt: minimum speed of a saccade, degrees or pixels per second");
  detection("--window", d.window, "ivt: time over which speed is measured, ms; 0 measures between samples");
  detection("--min-fixation", d.min_duration, "minimum time from the first to the last sample of a fixation, ms");
  detection("--max-gap", d.max_gap, "maximum time without a sample in a fixation, ms");
  auto* distance = command
                       .add_option("--distance", options.viewing.distance_mm,
                                   "distance of the eye from the screen, mm; makes thresholds degrees")
                       ->check(positive)
                       ->needs(method);
  auto* width =
      command.add_option("--screen-mm", options.viewing.screen_mm, "width of the screen, mm")->check(positive);
  distance->needs(width);
  width->needs(distance);
}

}  // namespace gt
