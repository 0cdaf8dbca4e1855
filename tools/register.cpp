// gradtrack register
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/csv.h"
#include "core/io.h"
#include "core/parallel.h"
#include "gaze/gaze_statistics.h"
#include "gaze/registration.h"
#include "models/checkpoint.h"
#include "models/evaluate.h"
#include "tools/commands.h"
#include "tools/outputs.h"
#include "tools/progress.h"
#include "tools/text_table.h"

namespace gt {
namespace {

struct Options {
  std::string model, out, table, data;
  std::string fit = "shift";
  RegistrationOptions registration;
  int64_t threads = 0;
  bool force = false;
};

std::string table_csv(const std::vector<Track>& tracks, const std::vector<Registration>& found) {
  std::string csv = csv_row({"image", "dx", "dy", "width", "overlap_before", "overlap"});
  for (size_t i = 0; i < tracks.size(); ++i) {
    const Registration& r = found[i];
    csv += csv_row({tracks[i].image, csv_number(r.dx), csv_number(r.dy), csv_number(r.width),
                    csv_number(r.overlap_before), csv_number(r.overlap)});
  }
  return csv;
}

/// Compares tracks with masks before and after. Nothing of it enters the new gaze.
void print_with_masks(const std::vector<Track>& before, const std::vector<Track>& after,
                      const std::vector<Image>& masks) {
  const GazeStatistics a = gaze_statistics(before, masks), b = gaze_statistics(after, masks);
  std::printf("\nCompared with the masks, which the registration did not see:\n");
  print_rows({{"", "before", "after"},
              {"gaze centre to mask centre, sides", number_text(a.offset_length, 3), number_text(b.offset_length, 3)},
              {"  standard deviation in x, in y", number_text(a.offset_sd_x, 3) + ", " + number_text(a.offset_sd_y, 3),
               number_text(b.offset_sd_x, 3) + ", " + number_text(b.offset_sd_y, 3)},
              {"share of fixations inside the mask", number_text(a.inside_mean, 3), number_text(b.inside_mean, 3)},
              {"Dice of the track map at 0.6", number_text(a.track_dice_60, 3), number_text(b.track_dice_60, 3)}});
}

void print_summary(const std::vector<Registration>& found, bool widen) {
  double length = 0, before = 0, after = 0, width = 0, dx = 0, dy = 0;
  for (const Registration& r : found) {
    length += std::hypot(r.dx, r.dy), before += r.overlap_before, after += r.overlap, width += r.width;
    dx += r.dx, dy += r.dy;
  }
  const double n = double(found.size());
  std::printf("%zu tracks moved by %.3f image sides on average; mean shift (%.3f, %.3f)\n", found.size(), length / n,
              dx / n, dy / n);
  if (widen) std::printf("mean width %.3f\n", width / n);
  std::printf("overlap of map and prediction: %.3f before, %.3f after\n", before / n, after / n);
}

void register_gaze(Options o) {
  Outputs outputs(o.force);
  outputs.writes(o.out);
  if (!o.table.empty()) outputs.writes(o.table);
  LoadedModel loaded = load_model(o.model);
  Config& config = loaded.config;
  if (!o.data.empty()) config.data.root = o.data;
  outputs.reads(gaze_path(config.data));
  outputs.check();
  o.registration.widen = o.fit == "shift_width";

  DataNeeds needs = {.gaze = true, .seed = uint64_t(config.seed)};
  needs.labels = is_folder(config.data.root + "/masks");
  LoadHooks hooks;
  hooks.warn = [](const std::string& line) { std::fprintf(stderr, "warning: %s\n", line.c_str()); };
  Dataset dataset = load_dataset(config.data, "train", needs, hooks);
  std::vector<Registration> found(dataset.samples.size());
  ProgressBar progress("register", int64_t(found.size()));
  parallel_for_each(
      int64_t(found.size()),
      [&](int64_t i) {
        const Sample& sample = dataset.samples[size_t(i)];
        const Tensor prediction = predict_probability(*loaded.model, config.data, sample.image);
        found[size_t(i)] = register_track(sample.track, prediction, config.maps, o.registration);
      },
      [&](int64_t done) { progress.update(done, "tracks"); });
  std::vector<Track> before, after;
  std::vector<Image> masks;
  for (size_t i = 0; i < found.size(); ++i) {
    const Sample& sample = dataset.samples[i];
    before.push_back(sample.track);
    after.push_back(registered_track(sample.track, found[i]));
    if (needs.labels) masks.push_back(sample.label);
  }
  make_parent_folder(o.out);
  write_gaze(o.out, after, dataset.simulated_gaze || loaded.gaze == "simulated");
  if (!o.table.empty()) write_file(o.table, table_csv(before, found));
  print_summary(found, o.registration.widen);
  if (needs.labels) print_with_masks(before, after, masks);
  std::printf("written: %s%s\n", o.out.c_str(), o.table.empty() ? "" : (", " + o.table).c_str());
}

}  // namespace

void add_register_command(CLI::App& app) {
  auto* command = app.add_subcommand("register", "Move gaze tracks to where a trained network sees their objects");
  auto o = std::make_shared<Options>();
  command->add_option("model", o->model, "run or checkpoint that was trained on this gaze")
      ->required()
      ->type_name("RUN_OR_CHECKPOINT");
  command->add_option("--out", o->out, "fixation table to write (CSV)")->required()->type_name("FILE");
  command->add_option("--table", o->table, "also write each track's shift, width and overlap (CSV)")->type_name("FILE");
  command->add_option("--data", o->data, "folder of the data set (default: the one of the training)")
      ->type_name("ROOT");
  command->add_option("--fit", o->fit, "what is learnt of each track")
      ->check(CLI::IsMember({"shift", "shift_width"}))
      ->capture_default_str();
  command->add_option("--prior", o->registration.shift_prior, "standard deviation of a shift in x and y, image sides")
      ->check(CLI::Range(1e-4, 1.0))
      ->capture_default_str();
  command->add_option("--prior-weight", o->registration.prior_weight, "weight of the prior; 0 for none")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--threads", o->threads, "compute threads; 0 uses all processors")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_force_option(*command, o->force);
  command->footer(
      "Recorded gaze is off by a shift that differs from image to image. A network trained on many images\n"
      "averages these shifts. For each image of train.txt this finds the shift (and width) with which the\n"
      "track's map agrees best with the network's prediction, by gradients through the map, and writes a\n"
      "table of the moved tracks. A network can then be trained on it with data.gaze=FILE. No mask is used;\n"
      "if the data set has masks, a table shows what moved towards them.\n\n"
      "Example:\n"
      "  gradtrack register runs/demo --out runs/registered.csv --table runs/shifts.csv");
  command->callback([o] {
    set_num_threads(int(o->threads));
    register_gaze(*o);
  });
}

}  // namespace gt
