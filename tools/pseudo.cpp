// gradtrack pseudo
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>

#include "core/autograd.h"
#include "core/io.h"
#include "core/parallel.h"
#include "gaze/metrics.h"
#include "gaze/pseudo.h"
#include "models/recipes.h"
#include "tools/commands.h"
#include "tools/draw.h"
#include "tools/html/page.h"
#include "tools/outputs.h"
#include "tools/progress.h"
#include "tools/text_table.h"

namespace gt {
namespace {

struct Options {
  std::string data, out;
  std::string gaze = "gaze.csv";
  std::string split = "train";
  std::string recipe = "gazemedseg";  // determines the map
  PseudoOptions masks;
  double spread_exponent = MapOptions().spread_exponent;
  DegradeOptions degrade;
  int64_t panels = 3;
  int64_t threads = 0;
  bool force = false;
};

/// Scores of the pseudo masks of one image, one per threshold. Empty without a label.
struct MaskScores {
  double label_share = 0;             // share of the image that the label covers
  std::vector<double> map_dice;       // Dice of the mask of the unrefined map
  std::vector<double> refined_dice;   // Dice of the mask of the refined map
  std::vector<double> relative_area;  // area of the mask of the refined map, as a multiple of the label's
};

bool uses_track_map(const Options& o) { return o.recipe == "gradtrack"; }

const char* map_name(const Options& o) { return uses_track_map(o) ? "track map" : "heat map"; }

const char* refined_name(const Options& o) { return o.masks.teacher.empty() ? "after the CRF" : "with the teacher"; }

std::string mask_folder(double threshold) { return str_cat("mask_", threshold); }

Image grey_picture(const Tensor& map) {
  Image picture(map.dim(0), map.dim(1), 1);
  for (size_t i = 0; i < picture.pixels.size(); ++i)
    picture.pixels[i] = uint8_t(255 * std::clamp(map.data<float>()[i], 0.f, 1.f) + 0.5f);
  return picture;
}

/// A picture with four columns: track, map, refined map, outlines of the masks and of the label.
Image panel(const Image& image, const Sample& sample, const Tensor& map, const Tensor& refined,
            const std::vector<Image>& masks, const std::string& label, const Options& o) {
  const Image rgb = to_rgb(image);
  Image track = rgb, outlines = rgb;
  draw_track(track, sample.track);
  for (size_t k = 0; k < masks.size(); ++k)
    draw_contour(outlines, masks[k],
                 colour_of(masks.size() < 2 ? 0.5 : 0.3 + 0.4 * double(k) / double(masks.size() - 1)));
  if (!sample.label.pixels.empty()) draw_contour(outlines, sample.label, {255, 214, 64});
  return side_by_side(
      {add_caption(track, label + "track"), add_caption(overlay_map(rgb, map.data<float>(), 0.85), label + map_name(o)),
       add_caption(overlay_map(rgb, refined.data<float>(), 0.85), label + refined_name(o)),
       add_caption(outlines, label + "masks")},
      6);
}

double foreground_pixels(const Image& mask) {
  return double(std::count_if(mask.pixels.begin(), mask.pixels.end(), is_foreground));
}

/// Computes and writes map, masks and panel of one image (height,width,3) at its size.
MaskScores process_image(const Sample& sample, size_t index, const Image& image, bool simulated, const PseudoMasks& how,
                         const Options& o) {
  const NoGrad no_grad;
  const Tensor map = how.map(sample.track, image), refined = refined_map(how, map, image);
  const std::string file = "/" + sample.name + ".png";
  write_png(o.out + "/map" + file, grey_picture(refined));
  MaskScores scores;
  const double labelled = foreground_pixels(sample.label);
  if (labelled > 0) scores.label_share = labelled / double(sample.label.pixels.size());
  std::vector<Image> masks;
  for (const double threshold : o.masks.thresholds) {
    masks.push_back(mask_of(refined, threshold));
    write_png(o.out + "/" + mask_folder(threshold) + file, masks.back());
    if (sample.label.pixels.empty()) continue;
    scores.refined_dice.push_back(score_masks(masks.back(), sample.label).at("dice"));
    scores.map_dice.push_back(score_masks(mask_of(map, threshold), sample.label).at("dice"));
    scores.relative_area.push_back(foreground_pixels(masks.back()) / std::max(labelled, 1.0));
  }
  if (int64_t(index) < o.panels)
    write_png(o.out + "/panels" + file, panel(image, sample, map, refined, masks, simulated ? "SIMULATED " : "", o));
  return scores;
}

/// The Dice that GazeMedSeg's publication (section 1 of docs/method.md cites it) gives for its masks from the recorded
/// gaze on Kvasir-SEG; "-" if it gives none.
const char* published_mask_dice(double threshold, bool crf) {
  if (threshold == 0.5) return crf ? "0.753 +- 0.141" : "0.745";
  return threshold == 0.3 && crf ? "0.784 +- 0.128" : "-";
}

void print_table(const std::vector<MaskScores>& images, const Options& o, bool simulated) {
  std::printf("%-32s %-18s %s\n", simulated ? "Dice of SIMULATED gaze" : "Dice of pseudo masks", "this data set",
              "published, recorded gaze on Kvasir-SEG");
  for (const bool refined : {false, true})
    for (size_t k = 0; k < o.masks.thresholds.size(); ++k) {
      std::vector<double> values;
      for (const MaskScores& image : images) values.push_back(refined ? image.refined_dice[k] : image.map_dice[k]);
      const MeanStd s = mean_std(values);
      char dice[32];
      std::snprintf(dice, sizeof dice, "%.3f +- %.3f", s.mean, s.std);
      std::printf("%-32s %-18s %s\n",
                  str_cat(refined ? refined_name(o) : map_name(o), ", at ", o.masks.thresholds[k]).c_str(), dice,
                  uses_track_map(o) ? "-" : published_mask_dice(o.masks.thresholds[k], refined));
    }
}

/// Prints Dice and area of the refined masks by the size of the label. The mean over all images can hide a bias of the
/// area.
void print_by_size(const std::vector<MaskScores>& images, const Options& o) {
  constexpr double bounds[] = {0, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 1};
  std::vector<std::vector<std::string>> rows = {{"label, share of image", "images"}};
  for (const double threshold : o.masks.thresholds) rows[0].push_back(str_cat("Dice, area at ", threshold));
  for (size_t k = 0; k + 1 < std::size(bounds); ++k) {
    std::vector<const MaskScores*> group;
    for (const MaskScores& image : images)
      if (image.label_share > bounds[k] && image.label_share <= bounds[k + 1]) group.push_back(&image);
    if (group.empty()) continue;
    rows.push_back({str_cat(100 * bounds[k], " .. ", 100 * bounds[k + 1], " %"), str_cat(group.size())});
    for (size_t t = 0; t < o.masks.thresholds.size(); ++t) {
      std::vector<double> dice, log_area;
      for (const MaskScores* image : group) {
        dice.push_back(image->refined_dice[t]);
        if (image->relative_area[t] > 0) log_area.push_back(std::log(image->relative_area[t]));
      }
      const std::string area = log_area.empty() ? "-" : html::fixed(std::exp(mean_std(log_area).mean), 2);
      rows.back().push_back(html::fixed(mean_std(dice).mean, 3) + "  " + area);
    }
  }
  std::printf("\n");
  print_rows(rows);
  std::printf("Area: geometric mean of mask area / label area over masks that are not empty.\n");
}

void check_outputs(const Options& o, const std::vector<std::string>& names) {
  Outputs outputs(o.force);
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string file = "/" + names[i] + ".png";
    for (const char* folder : {"/images", "/masks"}) outputs.reads(o.data + folder + file);
    outputs.writes(o.out + "/map" + file);
    for (const double threshold : o.masks.thresholds) outputs.writes(o.out + "/" + mask_folder(threshold) + file);
    if (int64_t(i) < o.panels) outputs.writes(o.out + "/panels" + file);
  }
  outputs.check();
}

void make_pseudo_masks(const Options& o) {
  if (!o.masks.teacher.empty() && !uses_track_map(o))
    fail("--teacher: expected --recipe gradtrack, got recipe '", o.recipe, "', which uses no teacher");
  set_num_threads(int(o.threads));
  Config config;
  config.recipe = o.recipe;
  config.pseudo = o.masks;
  config.maps.spread_exponent = o.spread_exponent;
  PseudoMasks how = recipe_of(config).pseudo_masks(config);
  how.thresholds = o.masks.thresholds;
  DataOptions data;
  data.root = o.data;
  data.gaze = o.gaze;
  data.degrade = o.degrade;
  data.size = 16;  // small, because the hook below uses the images at their original size
  const std::vector<std::string> names = split_names(data, o.split);
  check_outputs(o, names);
  make_folder(o.out + "/map");
  for (const double threshold : o.masks.thresholds) make_folder(o.out + "/" + mask_folder(threshold));
  if (o.panels > 0) make_folder(o.out + "/panels");

  const bool has_labels = is_folder(o.data + "/masks");
  std::vector<MaskScores> scores(names.size());
  std::optional<ProgressBar> bar(std::in_place, "pseudo", int64_t(names.size()));
  LoadHooks hooks;
  hooks.sample = [&](Sample& sample, size_t i, const Image& image, const DatasetFacts& facts) {
    scores[i] = process_image(sample, i, image, facts.simulated_gaze, how, o);
  };
  hooks.progress = [&](int64_t done, int64_t) { bar->update(done, "images"); };
  const Dataset dataset =
      load_dataset(data, o.split, {.labels = has_labels, .gaze = true, .seed = uint64_t(config.seed)}, hooks);
  bar.reset();
  if (has_labels) {
    print_table(scores, o, dataset.simulated_gaze);
    print_by_size(scores, o);
  }
  std::printf("written: %s: map/ and mask_*/ for %lld images%s\n", o.out.c_str(), (long long)names.size(),
              dataset.simulated_gaze ? ", from SIMULATED gaze" : "");
}

// ---- Options --------------------------------------------------------------------------------------------------------

void add_map_options(CLI::App& command, Options& o) {
  command.add_option("--recipe", o.recipe, "gazemedseg for its heat map, gradtrack for the map of the full track")
      ->check(CLI::IsMember({"gazemedseg", "gradtrack"}))
      ->capture_default_str();
  command.add_option("--teacher", o.masks.teacher, "gradtrack: run or checkpoint whose predictions shift the map")
      ->type_name("CHECKPOINT");
  command
      .add_option("--spread-exponent,--follow", o.spread_exponent,
                  "gradtrack: maps.spread_exponent; --follow is its old name")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--sigma", o.masks.sigma,
                  "gazemedseg: width of the heat map, pixels of 768; 70 for Kvasir-SEG, 50 for NCI-ISBI")
      ->check(CLI::Range(1.0, 768.0))
      ->capture_default_str();
  command.add_option("--threshold", o.masks.thresholds, "thresholds of the refined map, one mask each")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
}

void add_crf_options(CLI::App& command, CrfOptions& crf) {
  command.add_option("--crf-weight", crf.bilateral, "weight of the CRF's kernel of position and colour")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  command.add_option("--crf-xy", crf.bilateral_xy, "standard deviation of this kernel in position, pixels")
      ->check(CLI::Range(0.5, 1e4))
      ->capture_default_str();
  command.add_option("--crf-rgb", crf.bilateral_rgb, "standard deviation of this kernel in colour, of 256 levels")
      ->check(CLI::Range(0.5, 1e4))
      ->capture_default_str();
  command.add_option("--crf-iterations", crf.iterations, "iterations of the mean field; 0 leaves the map unrefined")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
}

void add_degrade_options(CLI::App& command, DegradeOptions& degrade) {
  const auto share = CLI::Range(0.0, 1.0);
  command
      .add_option("--position-noise", degrade.position_noise,
                  "degrade the gaze: standard deviation of each position's error, image sides")
      ->check(share)
      ->capture_default_str();
  command.add_option("--offset", degrade.offset, "degrade the gaze: length of a calibration error, image sides")
      ->check(share)
      ->capture_default_str();
  command.add_option("--drop", degrade.drop, "degrade the gaze: share of each track's fixations to remove")
      ->check(share)
      ->capture_default_str();
}

}  // namespace

void add_pseudo_command(CLI::App& app) {
  auto* command = app.add_subcommand("pseudo", "Make pseudo masks from gaze, and score them if there are masks");
  auto o = std::make_shared<Options>();
  command->add_option("--data", o->data, "folder of the data set: images/, train.txt etc., and optionally masks/")
      ->required()
      ->type_name("ROOT");
  command->add_option("--out", o->out, "folder for the pictures (PNG)")->required()->type_name("DIR");
  command->add_option("--gaze", o->gaze, "fixation table (CSV), relative to ROOT")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_option("--split", o->split, "images to process, listed in ROOT/SPLIT.txt")->capture_default_str();
  command->add_option("--panels", o->panels, "number of images for which a picture of the steps is written to panels/")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--threads", o->threads, "compute threads; 0 uses all processors")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_map_options(*command, *o);
  add_crf_options(*command, o->masks.crf);
  add_degrade_options(*command, o->degrade);
  add_force_option(*command, o->force);
  command->footer(
      "Computes a map of each image's gaze, refines it by a dense CRF and thresholds it. Writes the refined\n"
      "map to map/NAME.png (255 is 1) and the mask at threshold 0.5 to mask_0.5/NAME.png, at the size of\n"
      "the image. panels/NAME.png shows the steps side by side. Prints the Dice of the pseudo masks if there\n"
      "are masks. The defaults are GazeMedSeg's for Kvasir-SEG.\n\n"
      "Examples:\n"
      "  gradtrack pseudo --data data/kvasir-seg --out pseudo --threshold 0.5 0.3\n"
      "  gradtrack pseudo --data data/kvasir-seg --out pseudo --recipe gradtrack --threshold 0.625 --crf-weight 3");
  command->callback([o] { make_pseudo_masks(*o); });
}

}  // namespace gt
