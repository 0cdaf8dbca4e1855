// gradtrack fixations
#include <algorithm>
#include <cstdio>
#include <memory>

#include "gaze/formats.h"
#include "gaze/readers.h"
#include "tools/commands.h"
#include "tools/gaze_options.h"
#include "tools/outputs.h"

namespace gt {
namespace {

struct Options {
  std::string in, out;
  GazeOptions gaze;
  bool force = false;
};

void print_summary(const std::vector<Track>& tracks, const Gaze& gaze, const GazeOptions& options) {
  std::vector<double> counts, durations;
  double seconds = 0;
  for (const Track& track : tracks) {
    counts.push_back(double(track.fixations.size()));
    for (const Fixation& f : track.fixations) durations.push_back(f.duration), seconds += f.duration / 1000;
  }
  std::sort(counts.begin(), counts.end());
  std::sort(durations.begin(), durations.end());
  const auto row = [](const char* name, const std::string& value) { std::printf("%-22s %s\n", name, value.c_str()); };
  const auto number = [](const char* format, double value) {
    char digits[64];
    std::snprintf(digits, sizeof digits, format, value);
    return std::string(digits);
  };
  row("format", gaze.format + (options.detect.method.empty() ? "" : ", fixations by " + options.detect.method));
  row("images", std::to_string(tracks.size()));
  row("fixations", std::to_string(durations.size()));
  row("fixations per image", number("%.0f", counts.front()) + " to " + number("%.0f", counts.back()) + ", median " +
                                 number("%.0f", counts[counts.size() / 2]));
  row("duration, ms", number("%.0f", durations.front()) + " to " + number("%.0f", durations.back()) + ", mean " +
                          number("%.0f", 1000 * seconds / double(durations.size())) + ", median " +
                          number("%.0f", durations[durations.size() / 2]));
  row("dropped", dropped_text(gaze.dropped, options.min_duration));
  row("read as", gaze.assumed);
}

/// Default thresholds are in degrees. Without a viewing distance, a threshold in pixels must be given.
void check_thresholds(const CLI::App& command, const GazeOptions& gaze) {
  const std::string method = gaze.detect.method, threshold = method == "idt" ? "--dispersion" : "--velocity";
  if (!method.empty() && gaze.viewing.distance_mm == 0 && command.count(threshold) == 0)
    throw CLI::ValidationError(
        "--detect " + method,
        "expected --screen-mm and --distance for a threshold in degrees, or " + threshold + " in pixels");
}

void convert(const Options& o) {
  Outputs outputs(o.force);
  outputs.reads(o.in);
  outputs.writes(o.out);
  outputs.check();
  const Gaze gaze = read_gaze(o.in, o.gaze);
  std::vector<Track> tracks;
  for (const auto& [name, track] : gaze.tracks) tracks.push_back(track);
  write_gaze(o.out, tracks, gaze.simulated);
  print_summary(tracks, gaze, o.gaze);
  std::printf("written: %s%s\n", o.out.c_str(), gaze.simulated ? ": SIMULATED gaze" : "");
}

}  // namespace

void add_fixations_command(CLI::App& app) {
  auto* command = app.add_subcommand("fixations", "Convert an eye tracker's export to a fixation table");
  auto o = std::make_shared<Options>();
  command->add_option("gaze", o->in, "file exported by the eye tracker's program")->required()->type_name("FILE");
  command->add_option("--out", o->out, "fixation table to write: CSV with GazeMedSeg's columns")
      ->required()
      ->type_name("FILE");
  add_reading_options(*command, o->gaze);
  command
      ->add_option("--image", o->gaze.image,
                   format_list(GazeFormat::image) + ": name of the image, if the file does not contain it")
      ->type_name("NAME");
  auto* images = command
                     ->add_option("--images", o->gaze.images,
                                  "folder of the original images, for their sizes: for --fit and the formats " +
                                      format_list(GazeFormat::images))
                     ->type_name("DIR");
  command
      ->add_option("--fit", o->gaze.viewing.fit,
                   "each image was in the middle of the screen: contain, as large as its shape allows there or in "
                   "--image-rect; native, in its own pixels")
      ->check(CLI::IsMember({"contain", "native"}))
      ->needs(images)
      ->needs(command->get_option("--screen"))
      ->excludes(command->get_option("--image-size"))
      ->type_name("WORD");
  command->add_flag("--drop-blinks", o->gaze.drop_blinks,
                    format_list(GazeFormat::drop_blinks) + ": drop fixations next to a blink");
  command
      ->add_option("--min-duration", o->gaze.min_duration,
                   "minimum duration of a fixation, ms; shorter fixations are dropped")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_detection_options(*command, o->gaze);
  add_force_option(*command, o->force);
  command->footer(
      "Converts positions to shares of the image, drops fixations outside of it, and prints a summary. With\n"
      "--detect, the file holds samples and fixations are detected in them.\n\n"
      "Examples:\n"
      "  gradtrack fixations report.txt --screen 1920x1080 --image-size 768x768 --out gaze.csv   (EyeLink)\n"
      "  gradtrack fixations report.txt --screen 1920x1080 --images data/images --fit contain --out gaze.csv\n"
      "                                                                     (each image as large as its shape allows)\n"
      "  gradtrack fixations p01.asc --image-size 768x768 --out gaze.csv                         (EyeLink's text)\n"
      "  gradtrack fixations export.tsv --recording P01 --out gaze.csv                           (Tobii Pro Lab)\n"
      "  gradtrack fixations export.tsv --detect ivt --velocity 30 --screen 1920x1080 --screen-mm 527\n"
      "    --distance 650 --out gaze.csv                                                         (samples)\n\n"
      "Formats:\n" +
      format_descriptions() + "docs/data.md lists their columns.");
  command->callback([o, command] {
    check_thresholds(*command, o->gaze);
    if (o->gaze.viewing.fit == "native" && o->gaze.viewing.image.known())
      throw CLI::ValidationError("--fit native", "the image is in the middle of the screen, --image-rect does not fit");
    convert(*o);
  });
}

}  // namespace gt
