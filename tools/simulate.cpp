// gradtrack simulate
#include "gaze/simulate.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>

#include "core/io.h"
#include "core/parallel.h"
#include "gaze/dataset.h"
#include "gaze/gaze_statistics.h"
#include "gaze/readers.h"
#include "tools/commands.h"
#include "tools/outputs.h"
#include "tools/text_table.h"

namespace gt {
namespace {

struct Options {
  std::string data, out;
  uint64_t seed = 1;
  bool force = false;
};

/// The images of all lists, with their masks.
struct Images {
  std::vector<std::string> names;
  std::vector<Image> masks;     // (H,W,1), at their own size
  std::vector<Track> recorded;  // an image without recorded gaze has a track without fixations
};

Images read_images(const std::string& root) {
  DataOptions data;
  data.root = root;
  Images images;
  std::set<std::string> names;
  for (const char* split : {"train", "val", "test"}) {
    if (!path_exists(root + "/" + split + ".txt")) continue;
    Dataset part = load_dataset(data, split, {.labels = true, .optional_gaze = true});
    for (Sample& s : part.samples) {
      if (!names.insert(s.name).second) fail(root, "/", split, ".txt: image ", s.name, " is also in another split");
      images.names.push_back(s.name);
      images.masks.push_back(std::move(s.label));
      images.recorded.push_back(part.simulated_gaze ? Track() : std::move(s.track));
    }
  }
  if (images.names.empty()) fail(root, ": expected a list of images: train.txt, val.txt or test.txt");
  return images;
}

/// A row of the table of statistics.
struct Row {
  std::string name;
  int decimals;
  double value;
};

std::vector<Row> rows_of(const GazeStatistics& s) {
  std::vector<Row> rows = {{"fixations an image, minimum", 0, s.fixations_min},
                           {"fixations an image, mean", 1, s.fixations_mean},
                           {"fixations an image, maximum", 0, s.fixations_max}};
  const auto parts = [&](const char* what, int decimals, const auto& values) {
    for (size_t k = 0; k < values.size(); ++k) rows.push_back({what + std::to_string(k + 1), decimals, values[k]});
  };
  parts("  fifth of area ", 1, s.fixations_by_area);
  rows.push_back({"share inside the mask, mean", 3, s.inside_mean});
  rows.push_back({"share inside the mask, median", 3, s.inside_median});
  parts("  quarter of the track ", 3, s.inside_by_quarter);
  rows.push_back({"distance to the mask's centroid / sqrt(area)", 3, s.distance_mean});
  parts("  quarter of the track ", 3, s.distance_by_quarter);
  for (Row row : std::initializer_list<Row>{{"centroid offset x, mean, sides", 3, s.offset_mean_x},
                                            {"centroid offset y, mean, sides", 3, s.offset_mean_y},
                                            {"centroid offset x, sd, sides", 3, s.offset_sd_x},
                                            {"centroid offset y, sd, sides", 3, s.offset_sd_y},
                                            {"centroid offset, mean length, sides", 3, s.offset_length},
                                            {"duration, mean, ms", 0, s.duration_mean},
                                            {"duration, median, ms", 0, s.duration_median},
                                            {"duration, sd, ms", 0, s.duration_sd},
                                            {"saccade length, mean, sides", 3, s.saccade_mean},
                                            {"saccade length, median, sides", 3, s.saccade_median},
                                            {"time of a trial, mean, s", 2, s.trial_seconds},
                                            {"heat map > 0.5 against mask, Dice", 3, s.heat_dice_50},
                                            {"heat map > 0.3 against mask, Dice", 3, s.heat_dice_30},
                                            {"track map > 0.5 against mask, Dice", 3, s.track_dice_50},
                                            {"track map > 0.7 against mask, Dice", 3, s.track_dice_70},
                                            {"track map > 0.6 against mask, Dice", 3, s.track_dice_60}})
    rows.push_back(row);
  parts("  fifth of area ", 3, s.track_dice_60_by_area);
  return rows;
}

/// Prints the statistics of simulated tracks and those of recorded ones, both over the images that have recorded
/// gaze. Without any, prints those of simulated tracks over all images.
void print_statistics(const Images& images, const std::vector<Track>& simulated) {
  std::vector<Track> tracks, recorded;
  std::vector<Image> masks;
  for (size_t i = 0; i < simulated.size(); ++i) {
    if (images.recorded[i].fixations.empty()) continue;
    tracks.push_back(simulated[i]);
    recorded.push_back(images.recorded[i]);
    masks.push_back(images.masks[i]);
  }
  const bool compared = !recorded.empty();
  const std::vector<Row> rows =
      rows_of(compared ? gaze_statistics(tracks, masks) : gaze_statistics(simulated, images.masks));
  const std::vector<Row> others = compared ? rows_of(gaze_statistics(recorded, masks)) : std::vector<Row>();
  const auto text = [](const Row& row) { return std::isnan(row.value) ? "-" : number_text(row.value, row.decimals); };
  std::vector<std::vector<std::string>> table = {
      {str_cat(compared ? masks.size() : simulated.size(), " images"), "SIMULATED"}};
  if (compared) table[0].push_back("recorded");
  for (size_t i = 0; i < rows.size(); ++i) {
    table.push_back({rows[i].name, text(rows[i])});
    if (compared) table.back().push_back(text(others[i]));
  }
  print_rows(table);
  if (!compared) std::printf("The data set has no recorded gaze to compare with.\n");
}

void simulate(const Options& o) {
  DataOptions data;
  data.root = o.data;
  const std::string gaze = gaze_path(data);
  Outputs outputs(o.force);
  for (const char* list : {"train.txt", "val.txt", "test.txt"}) outputs.reads(o.data + "/" + list);
  if (path_exists(gaze) && !read_gaze(gaze).simulated) outputs.reads(gaze);  // recorded gaze is never replaced
  outputs.writes(o.out);
  outputs.check();
  const Images images = read_images(o.data);
  std::vector<Track> tracks(images.names.size());
  parallel_for_each(int64_t(tracks.size()), [&](int64_t at) {
    const size_t i = size_t(at);
    tracks[i] = simulate_track(images.masks[i], images.names[i], o.seed);
  });
  write_gaze(o.out, tracks, true);
  print_statistics(images, tracks);
  std::printf("written: %s: SIMULATED gaze on %zu images\n", o.out.c_str(), tracks.size());
}

}  // namespace

void add_simulate_command(CLI::App& app) {
  auto* command = app.add_subcommand("simulate", "Simulate physicians' gaze on the masks of a data set");
  auto o = std::make_shared<Options>();
  command->add_option("--data", o->data, "folder of the data set: images/, masks/, train.txt, val.txt, test.txt")
      ->required()
      ->type_name("ROOT");
  command->add_option("--out", o->out, "fixation table to write (CSV)")->required()->type_name("FILE");
  command->add_option("--seed", o->seed, "seed of the random numbers")->capture_default_str();
  add_force_option(*command, o->force);
  command->footer(
      "Writes a fixation table and prints statistics of the simulated gaze, next to those of the recorded gaze\n"
      "if ROOT/gaze.csv holds any. The table is marked as simulated; trained networks, scores and reports\n"
      "carry the mark too. A track depends only on the seed, the name of the image and its mask.\n\n"
      "Example:\n"
      "  gradtrack simulate --data data/kvasir-seg --out runs/simulated.csv --seed 1");
  command->callback([o] { simulate(*o); });
}

}  // namespace gt
