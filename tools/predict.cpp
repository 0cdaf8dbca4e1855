// gradtrack predict
#include <cstdio>
#include <map>
#include <new>
#include <optional>

#include "core/io.h"
#include "core/parallel.h"
#include "models/checkpoint.h"
#include "tools/commands.h"
#include "tools/outputs.h"
#include "tools/panels.h"
#include "tools/progress.h"

namespace gt {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> images;
  std::string out;
  int64_t threads = 0;
  std::string device = "auto";
  int64_t max_pixels = 0;  // 0: the run's data.max_pixels
  bool maps = false, force = false, tta = false;
};

std::string mask_path(const Options& o, const std::string& image) {
  return o.out + "/" + image_name(image) + "_mask.png";
}
std::string overlay_path(const Options& o, const std::string& image) {
  return o.out + "/" + image_name(image) + "_overlay.png";
}
std::string attention_path(const Options& o, const std::string& image, int64_t level) {
  return str_cat(o.out, "/", image_name(image), "_attention", level, ".png");
}

void check_outputs(const Options& o) {
  Outputs outputs(o.force);
  for (const std::string& image : o.images) {
    outputs.reads(image);
    outputs.writes(mask_path(o, image));
    outputs.writes(overlay_path(o, image));
    for (int64_t level = 1; o.maps && level <= map_levels; ++level) outputs.writes(attention_path(o, image, level));
  }
  outputs.check();
}

/// predict_view(), with the image's path in its errors.
PredictedView predict_named(const Model& model, const DataOptions& data, const Image& image, const std::string& path) {
  try {
    return predict_view(model, data, image);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
}

/// Segments an image and writes its pictures.
void segment(const LoadedModel& loaded, const std::string& path, const Options& o) {
  const DataOptions& data = loaded.config.data;
  ReadOptions reading = read_options(data);
  if (o.max_pixels > 0) reading.max_pixels = o.max_pixels;
  const Image image = read_image(path, int(data.channels), reading);
  if (image.coarse) std::fprintf(stderr, "warning: %s\n", coarse_text(path).c_str());
  const PredictedView v = predict_named(*loaded.model, data, image, path);
  write_png(mask_path(o, path), v.mask);
  write_png(overlay_path(o, path), overlay_mask(to_rgb(image), v.mask, nullptr));
  for (size_t l = 0; o.maps && l < v.attention.size(); ++l)
    write_png(attention_path(o, path, int64_t(l) + 1), v.attention[l]);
}

void predict(const Options& o) {
  set_num_threads(int(o.threads));
  LoadedModel loaded = load_model(o.model, choose_device(o.device));
  if (o.tta) loaded.model = mirror_averaged(std::move(loaded.model), loaded.config);
  if (o.maps && loaded.config.recipe != "gradtrack")
    fail("--maps: expected a recipe with attention maps, got '", loaded.config.recipe, "'");
  std::map<std::string, std::string> sources;
  for (const std::string& path : o.images)
    if (const auto [it, fresh] = sources.emplace(image_name(path), path); !fresh)
      fail(path, ": has the same name as ", it->second, ", so their masks would overwrite each other");
  check_outputs(o);
  make_folder(o.out);
  std::optional<ProgressBar> bar(std::in_place, "predict", int64_t(o.images.size()));
  std::vector<std::string> errors;
  for (size_t i = 0; i < o.images.size(); ++i) {
    try {
      segment(loaded, o.images[i], o);
    } catch (const Error& error) {
      errors.push_back(error.what());
    } catch (const std::bad_alloc&) {
      errors.push_back(o.images[i] + ": expected memory for this image, there is too little");
    }
    bar->update(int64_t(i) + 1, "images");
  }
  bar.reset();
  const size_t done = o.images.size() - errors.size();
  if (loaded.gaze == "simulated") std::printf("The network was trained on SIMULATED gaze.\n");
  std::printf("%zu image%s -> %s\n", done, done == 1 ? "" : "s", o.out.c_str());
  if (errors.empty()) return;
  for (size_t i = 0; i + 1 < errors.size(); ++i) std::fprintf(stderr, "gradtrack: %s\n", errors[i].c_str());
  fail(errors.back(),
       o.images.size() > 1 ? str_cat(" (", errors.size(), " of ", o.images.size(), " images failed)") : "");
}

}  // namespace

void add_predict_command(CLI::App& app) {
  auto* command = app.add_subcommand("predict", "Segment images with a trained network, without gaze");
  auto o = std::make_shared<Options>();
  command->add_option("model", o->model, "folder of a run, whose best.safetensors is used, or a checkpoint file")
      ->required()
      ->type_name("CHECKPOINT");
  command->add_option("images", o->images, "JPEG, PNG or DICOM files of any size")->required()->type_name("IMAGE ...");
  command->add_option("--out", o->out, "folder for the masks")->required()->type_name("DIR");
  command->add_option("--threads", o->threads, "compute threads; 0 uses all processors")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--device", o->device, "device: auto, cpu or cuda")->capture_default_str();
  command->add_option("--max-pixels", o->max_pixels, "refuse larger images (default: data.max_pixels of the run)")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  add_force_option(*command, o->force);
  command->add_flag("--tta", o->tta, "average predictions over mirror images of the image");
  command->add_flag("--maps", o->maps, "also write the attention map of each decoder level (1 is the coarsest)");
  command->footer(
      "Writes for each image, at its size, NAME_mask.png (0 and 255), NAME_overlay.png (the mask on the\n"
      "image), and with --maps NAME_attention1.png to NAME_attention4.png. An image that cannot be read is\n"
      "named, the others are segmented, and the exit status is 1.\n\n"
      "Example:\n"
      "  gradtrack predict runs/kvasir_small a.jpg b.png --out masks --maps");
  command->callback([o] { predict(*o); });
}

}  // namespace gt
