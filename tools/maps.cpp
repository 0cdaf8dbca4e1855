// gradtrack maps
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>

#include "core/autograd.h"
#include "core/io.h"
#include "gaze/image.h"
#include "gaze/maps.h"
#include "gaze/readers.h"
#include "gaze/recorded_shape.h"
#include "models/gradtrack.h"
#include "tools/commands.h"
#include "tools/draw.h"
#include "tools/gaze_options.h"
#include "tools/outputs.h"
#include "tools/run_config.h"

namespace gt {
namespace {

constexpr int64_t min_side = 512;    // pixels of the longer side, so that the numbers of fixations are legible
constexpr int64_t tile_side = 320;   // longer side of a picture in overview.png, pixels
constexpr int64_t sheet_side = 192;  // if it has several rows

struct Options {
  std::string gaze, out, config;
  std::vector<std::string> images, overrides;
  GazeOptions reading;
  int64_t size = 0;  // 0: the configuration's, or 224
  ReadOptions picture;
  bool force = false;
};

Image with_longer_side(const Image& image, int64_t side) {
  const double factor = double(side) / double(std::max(image.height, image.width));
  const auto scaled = [&](int64_t n) { return std::max<int64_t>(1, int64_t(double(n) * factor + 0.5)); };
  return resize_image(image, scaled(image.height), scaled(image.width));
}

/// The image with a map (h,w) or (1,h,w) of any size on top.
Image with_map(const Image& rgb, const Tensor& map) {
  const Tensor large = resize_bilinear(map.view({1, map.dim(-2), map.dim(-1), 1}), rgb.height, rgb.width);
  return overlay_map(rgb, large.data<float>(), 0.85);
}

struct Picture {
  std::string file, caption;
  Image image;
};

/// What the maps are computed with.
struct MapSettings {
  MapOptions maps;
  double heat_sigma = PseudoOptions().sigma;
  int64_t size = 224;
  DegradeOptions degrade = {};
  uint64_t seed = 1;
};

MapSettings settings_of(const Options& o) {
  MapSettings settings;
  if (!o.config.empty()) {
    const Config config = load_config_with_warnings(o.config, o.overrides);
    settings = {config.maps, config.pseudo.sigma, config.data.size, config.data.degrade, uint64_t(config.seed)};
  }
  if (o.size % 16 != 0) fail("--size: expected a multiple of 16, got ", o.size);
  if (o.size > 0) settings.size = o.size;
  return settings;
}

std::vector<Picture> draw(const Track& track, const Image& rgb, const MapSettings& settings) {
  const MapOptions& options = settings.maps;
  const std::vector<Fixation>& f = track.fixations;
  const std::vector<MapSize> sizes = track_map_sizes(settings.size, settings.size);
  const Tensors maps = track_maps(pack_tracks({&track}, options), options, sizes);

  const double seconds = (f.back().start + f.back().duration) / 1000;
  char line[64];
  std::snprintf(line, sizeof line, "track: %zu fixations, %.1f s", f.size(), seconds);
  std::vector<Picture> pictures = {{"track.png", line, rgb}};
  draw_track(pictures[0].image, track);
  for (size_t l = 0; l < maps.size(); ++l) {
    const bool full = l == size_t(map_levels);
    const auto [begin, end] = full ? std::pair{int64_t(0), int64_t(f.size())} : truncate(f, options.keep[l], options);
    const std::string name = full ? "full" : "level" + std::to_string(l + 1);
    pictures.push_back({name + ".png",
                        str_cat(name, ": ", end - begin, " fixations, ", sizes[l].height, "x", sizes[l].width),
                        with_map(rgb, maps[l])});
  }
  pictures.push_back(
      {"heat.png", "heat map, 768x768", with_map(rgb, heat_map(track, rgb.height, rgb.width, settings.heat_sigma))});
  return pictures;
}

/// The pictures of one image, and the folder that they go to.
struct Sheet {
  std::string name, image, folder;
  std::vector<Picture> pictures;
};

Sheet make_sheet(const Options& o, const std::string& path, const Gaze& gaze, const MapSettings& settings) {
  const std::string name = image_name(path);
  const auto track = gaze.tracks.find(name);
  if (track == gaze.tracks.end())
    fail(o.gaze, ": expected fixations on image ", name, ", found fixations on ", gaze.tracks.size(), " other images",
         gaze.tracks.empty() ? "" : ", such as " + gaze.tracks.begin()->first);
  Track degraded = track->second;
  degrade(degraded, settings.degrade, settings.seed);
  Image rgb = read_image(path, 3, o.picture);
  check_recorded_shape(degraded, o.gaze, rgb, path);
  if (std::max(rgb.height, rgb.width) < min_side) rgb = with_longer_side(rgb, min_side);
  return {name, path, o.images.size() == 1 ? o.out : o.out + "/" + name, draw(degraded, rgb, settings)};
}

void check_outputs(const Options& o, const std::vector<Sheet>& sheets) {
  Outputs outputs(o.force);
  outputs.reads(o.gaze);
  for (const Sheet& sheet : sheets) {
    outputs.reads(sheet.image);
    for (const Picture& p : sheet.pictures) outputs.writes(sheet.folder + "/" + p.file);
  }
  outputs.writes(o.out + "/overview.png");
  outputs.check();
}

/// Writes the pictures of a sheet, and returns them side by side.
Image write_sheet(const Sheet& sheet, const std::string& label, int64_t side) {
  make_folder(sheet.folder);
  std::vector<Image> tiles;
  for (const Picture& p : sheet.pictures) {
    write_png(sheet.folder + "/" + p.file, add_caption(p.image, label + p.caption));
    tiles.push_back(add_caption(with_longer_side(p.image, side), label + p.caption));
  }
  return side_by_side(tiles, 8);
}

void write_maps(const Options& o) {
  const NoGrad no_grad;
  const MapSettings settings = settings_of(o);
  const Gaze gaze = read_gaze(o.gaze, o.reading);
  std::vector<Sheet> sheets;
  std::map<std::string, std::string> path_of;
  for (const std::string& path : o.images) {
    const auto [at, added] = path_of.emplace(image_name(path), path);
    if (!added) fail(path, ": has the same name as ", at->second, ", expected images of different names");
    sheets.push_back(make_sheet(o, path, gaze, settings));
  }
  check_outputs(o, sheets);

  make_folder(o.out);
  const bool one = sheets.size() == 1;
  const std::string label = gaze.simulated ? "SIMULATED " : "";
  std::vector<Image> rows;
  for (const Sheet& sheet : sheets) {
    rows.push_back(write_sheet(sheet, label, one ? tile_side : sheet_side));
    if (!one) {
      rows.back() = add_caption(rows.back(), sheet.name);
      std::printf("%s/\n", sheet.name.c_str());
    }
    for (const Picture& p : sheet.pictures)
      std::printf("%s%-12s %s\n", one ? "" : "  ", p.file.c_str(), (label + p.caption).c_str());
  }
  write_png(o.out + "/overview.png", stacked(rows, 8));
  std::printf("%-12s all pictures, a row for each image\n", "overview.png");
  std::printf("written: %s\n", o.out.c_str());
}

}  // namespace

void add_maps_command(CLI::App& app) {
  auto* command = app.add_subcommand("maps", "Draw the gaze track of an image and the maps computed from it");
  auto o = std::make_shared<Options>();
  command->add_option("--gaze", o->gaze, "fixation table, or file exported by an eye tracker's program")
      ->required()
      ->type_name("FILE");
  command->add_option("--image", o->images, "images; an image's name without extension selects its track")
      ->required()
      ->type_name("FILE");
  command->add_option("--out", o->out, "folder for the pictures (PNG)")->required()->type_name("DIR");
  auto* config =
      command->add_option("--config", o->config, "configuration with the options of the maps (default: the defaults)")
          ->type_name("CONFIG.yaml");
  command->add_option("--set", o->overrides, "keys that override the configuration")
      ->type_name("key=value ...")
      ->needs(config);
  command
      ->add_option("--size", o->size,
                   "side of the network's input, pixels; determines the sizes of the maps (default: data.size, or 224)")
      ->check(CLI::Range(16, 4096));
  add_reading_options(*command, o->reading);
  command->add_option("--max-pixels", o->picture.max_pixels, "refuse a larger image")
      ->check(CLI::Range(int64_t(1), int64_t(10'000'000'000)))
      ->capture_default_str()
      ->type_name("N");
  add_force_option(*command, o->force);
  command->footer(
      "Writes these pictures:\n"
      "  track.png                 fixations in order, from violet to yellow; the area of a disc shows the duration\n"
      "  level1.png .. level4.png  the track maps of the decoder levels, coarsest first\n"
      "  full.png                  the map of the whole track\n"
      "  heat.png                  GazeMedSeg's heat map\n"
      "  overview.png              all of these, a row for each image\n"
      "Those of several images are in a folder NAME each.\n\n"
      "Examples:\n"
      "  gradtrack maps --gaze data/gaze.csv --image data/images/case_0001.png --out maps\n"
      "  gradtrack maps --gaze data/gaze.csv --image data/images/case_000*.png --out maps --config "
      "configs/kvasir_small.yaml --set maps.mix=1");
  command->callback([o] { write_maps(*o); });
}

}  // namespace gt
