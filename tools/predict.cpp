// gradtrack predict
#include <cstdio>

#include "core/io.h"
#include "core/parallel.h"
#include "models/checkpoint.h"
#include "tools/commands.h"
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
  bool maps = false;
};

/// predict_view(), with the image's path in its errors.
PredictedView predict_named(const Model& model, const DataOptions& data, const Image& image, const std::string& path) {
  try {
    return predict_view(model, data, image);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
}

void predict(const Options& o) {
  set_num_threads(int(o.threads));
  const LoadedModel loaded = load_model(o.model, choose_device(o.device));
  const DataOptions& data = loaded.config.data;
  std::map<std::string, std::string> sources;
  for (const std::string& path : o.images)
    if (const auto [it, fresh] = sources.emplace(image_name(path), path); !fresh)
      fail(path, ": has the same name as ", it->second, ", so their masks would overwrite each other");
  make_folder(o.out);
  ProgressBar bar("predict", int64_t(o.images.size()));
  int64_t done = 0;
  for (const std::string& path : o.images) {
    const Image image = read_image(path, int(data.channels), read_options(data));
    const PredictedView v = predict_named(*loaded.model, data, image, path);
    if (o.maps && v.attention.empty())
      fail("--maps: expected a recipe with attention maps, got '", loaded.config.recipe, "'");
    const std::string stem = o.out + "/" + image_name(path);
    write_png(stem + "_mask.png", v.mask);
    write_png(stem + "_overlay.png", overlay_mask(to_rgb(image), v.mask, nullptr));
    if (o.maps)
      for (size_t l = 0; l < v.attention.size(); ++l)
        write_png(str_cat(stem, "_attention", l + 1, ".png"), v.attention[l]);
    bar.update(++done, "images");
  }
  if (loaded.gaze == "simulated") std::printf("The network was trained on SIMULATED gaze.\n");
  std::printf("%zu image%s -> %s\n", o.images.size(), o.images.size() == 1 ? "" : "s", o.out.c_str());
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
  command->add_flag("--maps", o->maps, "also write the attention map of each decoder level (1 is the coarsest)");
  command->footer(
      "Writes for each image, at its size, NAME_mask.png (0 and 255), NAME_overlay.png (the mask on the\n"
      "image), and with --maps NAME_attention1.png to NAME_attention4.png.\n\n"
      "Example:\n"
      "  gradtrack predict runs/kvasir_small a.jpg b.png --out masks --maps");
  command->callback([o] { predict(*o); });
}

}  // namespace gt
