// gradtrack maps
#include <algorithm>
#include <cstdio>
#include <memory>

#include "core/autograd.h"
#include "core/io.h"
#include "gaze/image.h"
#include "gaze/maps.h"
#include "gaze/readers.h"
#include "models/gradtrack.h"
#include "tools/commands.h"
#include "tools/draw.h"
#include "tools/gaze_options.h"
#include "tools/outputs.h"

namespace gt {
namespace {

constexpr int64_t min_side = 512;   // pixels of the longer side, so that the numbers of fixations are legible
constexpr int64_t tile_side = 320;  // longer side of a picture in overview.png, pixels

struct Options {
  std::string gaze, image, out;
  GazeOptions reading;
  int64_t size = 224;
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

std::vector<Picture> draw(const Track& track, const Image& rgb, int64_t size) {
  const MapOptions options;
  const std::vector<Fixation>& f = track.fixations;
  const std::vector<MapSize> sizes = track_map_sizes(size, size);
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
  pictures.push_back({"heat.png", "heat map, 768x768", with_map(rgb, heat_map(track, rgb.height, rgb.width))});
  return pictures;
}

void write_maps(const Options& o) {
  const NoGrad no_grad;
  const std::string name = image_name(o.image);
  const Gaze gaze = read_gaze(o.gaze, o.reading);
  const auto track = gaze.tracks.find(name);
  if (track == gaze.tracks.end())
    fail(o.gaze, ": expected fixations on image ", name, ", found fixations on ", gaze.tracks.size(), " other images",
         gaze.tracks.empty() ? "" : ", such as " + gaze.tracks.begin()->first);
  Image rgb = read_image(o.image, 3, o.picture);
  if (std::max(rgb.height, rgb.width) < min_side) rgb = with_longer_side(rgb, min_side);

  std::vector<Picture> pictures = draw(track->second, rgb, o.size);
  Outputs outputs(o.force);
  outputs.reads(o.image);
  outputs.reads(o.gaze);
  for (const Picture& p : pictures) outputs.writes(o.out + "/" + p.file);
  outputs.writes(o.out + "/overview.png");
  outputs.check();

  make_folder(o.out);
  const std::string label = gaze.simulated ? "SIMULATED " : "";
  std::vector<Image> tiles;
  for (const Picture& p : pictures) {
    write_png(o.out + "/" + p.file, add_caption(p.image, label + p.caption));
    tiles.push_back(add_caption(with_longer_side(p.image, tile_side), label + p.caption));
    std::printf("%-12s %s\n", p.file.c_str(), (label + p.caption).c_str());
  }
  write_png(o.out + "/overview.png", side_by_side(tiles, 8));
  std::printf("%-12s all pictures side by side\n", "overview.png");
  std::printf("written: %s\n", o.out.c_str());
}

}  // namespace

void add_maps_command(CLI::App& app) {
  auto* command = app.add_subcommand("maps", "Draw the gaze track of an image and the maps computed from it");
  auto o = std::make_shared<Options>();
  command->add_option("--gaze", o->gaze, "fixation table, or file exported by an eye tracker's program")
      ->required()
      ->type_name("FILE");
  command->add_option("--image", o->image, "the image; its name without extension selects the track")
      ->required()
      ->type_name("FILE");
  command->add_option("--out", o->out, "folder for the pictures (PNG)")->required()->type_name("DIR");
  command->add_option("--size", o->size, "side of the network's input, pixels; determines the sizes of the maps")
      ->check(CLI::Range(16, 4096))
      ->capture_default_str();
  add_reading_options(*command, o->reading);
  command->add_option("--max-pixels", o->picture.max_pixels, "refuse a larger image")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->type_name("N");
  add_force_option(*command, o->force);
  command->footer(
      "Writes these pictures:\n"
      "  track.png                 fixations in order, from violet to yellow; the area of a disc shows the duration\n"
      "  level1.png .. level4.png  the track maps of the decoder levels, coarsest first\n"
      "  full.png                  the map of the whole track\n"
      "  heat.png                  GazeMedSeg's heat map\n"
      "  overview.png              all of these side by side\n\n"
      "Example:\n  gradtrack maps --gaze data/gaze.csv --image data/images/case_0001.png --out maps");
  command->callback([o] { write_maps(*o); });
}

}  // namespace gt
