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
#include "tools/progress.h"
#include "tools/text_table.h"

namespace gt {
namespace {

struct Options {
  std::string data, out;
  std::string gaze = "gaze.csv";
  std::string split = "train";
  std::string recipe = "gazemedseg";  // whose map
  PseudoOptions masks;
  double spread_exponent = MapOptions().spread_exponent;
  DegradeOptions degrade;
  int64_t panels = 3;
  int64_t threads = 0;
};

/// One image's masks against its label, by threshold.
struct ImageMasks {
  double share = 0;              // of the image that the label covers
  std::vector<double> map, crf;  // Dice
  std::vector<double> area;      // of the mask after the CRF, labels
};

bool of_track(const Options& o) { return o.recipe == "gradtrack"; }

const char* map_name(const Options& o) { return of_track(o) ? "track map" : "heat map"; }

const char* refined_name(const Options& o) { return o.masks.teacher.empty() ? "after the CRF" : "with the teacher"; }

std::string mask_folder(double threshold) { return str_cat("mask_", threshold); }

Image grey_picture(const Tensor& map) {
  Image picture(map.dim(0), map.dim(1), 1);
  for (size_t i = 0; i < picture.pixels.size(); ++i)
    picture.pixels[i] = uint8_t(255 * std::clamp(map.data<float>()[i], 0.f, 1.f) + 0.5f);
  return picture;
}

/// Image with track, map, refined map, and the outlines of the masks and the label.
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
      {captioned(track, label + "track"), captioned(overlay_map(rgb, map.data<float>(), 0.85), label + map_name(o)),
       captioned(overlay_map(rgb, refined.data<float>(), 0.85), label + refined_name(o)),
       captioned(outlines, label + "masks")},
      6);
}

double pixels_of(const Image& mask) {
  return double(std::count_if(mask.pixels.begin(), mask.pixels.end(), is_foreground));
}

/// Makes and writes what belongs to one image (own height, own width, 3); its scores are empty without a label.
ImageMasks make_image(const Dataset& dataset, size_t index, const Image& image, const PseudoMasks& how,
                      const Options& o) {
  const Sample& sample = dataset.samples[index];
  const NoGrad no_grad;
  const Tensor map = how.map(sample.track, image), refined = refined_map(how, map, image);
  const std::string file = "/" + sample.name + ".png";
  write_png(o.out + "/map" + file, grey_picture(refined));
  ImageMasks made;
  const double labelled = pixels_of(sample.label);
  if (labelled > 0) made.share = labelled / double(sample.label.pixels.size());
  std::vector<Image> masks;
  for (const double threshold : o.masks.thresholds) {
    masks.push_back(mask_of(refined, threshold));
    write_png(o.out + "/" + mask_folder(threshold) + file, masks.back());
    if (sample.label.pixels.empty()) continue;
    made.crf.push_back(score_masks(masks.back(), sample.label).at("dice"));
    made.map.push_back(score_masks(mask_of(map, threshold), sample.label).at("dice"));
    made.area.push_back(pixels_of(masks.back()) / std::max(labelled, 1.0));
  }
  if (int64_t(index) < o.panels)
    write_png(o.out + "/panels" + file,
              panel(image, sample, map, refined, masks, dataset.simulated_gaze ? "SIMULATED " : "", o));
  return made;
}

/// What is published for Kvasir-SEG's real gaze (METHOD 1); null where nothing is.
const char* published(double threshold, bool crf) {
  if (threshold == 0.5) return crf ? "0.753 +- 0.141" : "0.745";
  return threshold == 0.3 && crf ? "0.784 +- 0.128" : "-";
}

void print_table(const std::vector<ImageMasks>& images, const Options& o, bool simulated) {
  std::printf("%-32s %-18s %s\n", simulated ? "Dice of SIMULATED gaze" : "Dice against the masks", "here",
              "published, real Kvasir-SEG gaze");
  for (const bool crf : {false, true})
    for (size_t k = 0; k < o.masks.thresholds.size(); ++k) {
      std::vector<double> values;
      for (const ImageMasks& image : images) values.push_back(crf ? image.crf[k] : image.map[k]);
      const MeanStd s = mean_std(values);
      char here[32];
      std::snprintf(here, sizeof here, "%.3f +- %.3f", s.mean, s.std);
      std::printf("%-32s %-18s %s\n",
                  str_cat(crf ? refined_name(o) : map_name(o), ", at ", o.masks.thresholds[k]).c_str(), here,
                  of_track(o) ? "-" : published(o.masks.thresholds[k], crf));
    }
}

/// Dice and size of the masks after the CRF, by the size of the label: a bias of size is hidden in the mean over all.
void print_by_size(const std::vector<ImageMasks>& images, const Options& o) {
  constexpr double bounds[] = {0, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 1};
  std::vector<std::vector<std::string>> rows = {{"label's share of the image", "images"}};
  for (const double threshold : o.masks.thresholds) rows[0].push_back(str_cat("Dice, area at ", threshold));
  for (size_t k = 0; k + 1 < std::size(bounds); ++k) {
    std::vector<const ImageMasks*> these;
    for (const ImageMasks& image : images)
      if (image.share > bounds[k] && image.share <= bounds[k + 1]) these.push_back(&image);
    if (these.empty()) continue;
    rows.push_back({str_cat(100 * bounds[k], " .. ", 100 * bounds[k + 1], " %"), str_cat(these.size())});
    for (size_t t = 0; t < o.masks.thresholds.size(); ++t) {
      std::vector<double> dice, log_area;
      for (const ImageMasks* image : these) {
        dice.push_back(image->crf[t]);
        if (image->area[t] > 0) log_area.push_back(std::log(image->area[t]));
      }
      const std::string area = log_area.empty() ? "-" : html::fixed(std::exp(mean_std(log_area).mean), 2);
      rows.back().push_back(html::fixed(mean_std(dice).mean, 3) + "  " + area);
    }
  }
  std::printf("\n");
  print_rows(rows);
  std::printf("area: of the mask, in labels; geometric mean of those that are not empty\n");
}

void make_pseudo_masks(const Options& o) {
  if (!o.masks.teacher.empty() && !of_track(o)) fail("--teacher: recipe '", o.recipe, "' has none, only gradtrack has");
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
  data.size = 16;  // the images are used at their own size
  const std::vector<std::string> names = split_names(data, o.split);
  make_folder(o.out + "/map");
  for (const double threshold : o.masks.thresholds) make_folder(o.out + "/" + mask_folder(threshold));
  if (o.panels > 0) make_folder(o.out + "/panels");

  const bool has_labels = std::filesystem::is_directory(o.data + "/masks");
  std::vector<ImageMasks> made(names.size());
  std::optional<ProgressBar> bar(std::in_place, "pseudo", int64_t(names.size()));
  LoadHooks hooks;
  hooks.sample = [&](Dataset& dataset, size_t i, const Image& image) {
    made[i] = make_image(dataset, i, image, how, o);
  };
  hooks.progress = [&](int64_t done, int64_t) { bar->update(done, "images"); };
  const Dataset dataset =
      load_dataset(data, o.split, {.labels = has_labels, .gaze = true, .seed = uint64_t(config.seed)}, hooks);
  bar.reset();
  if (has_labels) {
    print_table(made, o, dataset.simulated_gaze);
    print_by_size(made, o);
  }
  std::printf("written: %s: map/ and mask_*/ of %lld images%s\n", o.out.c_str(), (long long)names.size(),
              dataset.simulated_gaze ? ", from SIMULATED gaze" : "");
}

}  // namespace

void add_pseudo_command(CLI::App& app) {
  auto* command = app.add_subcommand("pseudo", "Make pseudo masks from gaze, and compare them with masks");
  auto o = std::make_shared<Options>();
  command->add_option("--data", o->data, "data set folder: images/, train.txt ..., and masks/ if there are masks")
      ->required()
      ->type_name("ROOT");
  command->add_option("--out", o->out, "folder for the pictures (PNG)")->required()->type_name("DIR");
  command->add_option("--gaze", o->gaze, "fixation table (CSV), relative to ROOT unless absolute")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_option("--split", o->split, "list of images: ROOT/SPLIT.txt")->capture_default_str();
  command->add_option("--recipe", o->recipe, "gazemedseg: from its heat map; gradtrack: from the full track's map")
      ->check(CLI::IsMember({"gazemedseg", "gradtrack"}))
      ->capture_default_str();
  command
      ->add_option("--teacher", o->masks.teacher,
                   "of recipe gradtrack: a run or checkpoint whose predictions have a say")
      ->type_name("CHECKPOINT");
  command
      ->add_option("--spread-exponent,--follow", o->spread_exponent,
                   "of recipe gradtrack's map: as maps.spread_exponent")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--sigma", o->masks.sigma, "of the heat map, pixels of 768: 70 Kvasir-SEG, 50 NCI-ISBI")
      ->check(CLI::Range(1.0, 768.0))
      ->capture_default_str();
  command->add_option("--threshold", o->masks.thresholds, "of the map, one mask each")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--crf-weight", o->masks.crf.bilateral, "of the CRF's Gaussian of place and colour")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  command->add_option("--crf-xy", o->masks.crf.bilateral_xy, "its standard deviation in place, pixels")
      ->check(CLI::Range(0.5, 1e4))
      ->capture_default_str();
  command->add_option("--crf-rgb", o->masks.crf.bilateral_rgb, "and in colour, of 256 levels")
      ->check(CLI::Range(0.5, 1e4))
      ->capture_default_str();
  command->add_option("--crf-iterations", o->masks.crf.iterations, "of the mean field; 0 leaves the map as it is")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  command->add_option("--position-noise", o->degrade.position_noise, "worse gaze, as data.degrade: image sides")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--offset", o->degrade.offset, "likewise: length of a calibration error, image sides")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--drop", o->degrade.drop, "likewise: share of each track's fixations that are lost")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--panels", o->panels, "pictures of this many of the first images, step by step")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--threads", o->threads, "compute threads, 0 for all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->footer(
      "Examples:\n  gradtrack pseudo --data data/kvasir-seg --out pseudo --threshold 0.5 0.3\n"
      "  gradtrack pseudo --data data/kvasir-seg --out pseudo --recipe gradtrack --threshold 0.625 --crf-weight 3\n\n"
      "Writes map/NAME.png (the map after the dense CRF, 255 is 1), mask_0.5/NAME.png ... and panels/NAME.png, "
      "all\n"
      "of the image's own size. The defaults are GazeMedSeg's for Kvasir-SEG.");
  command->callback([o] { make_pseudo_masks(*o); });
}

}  // namespace gt
