// gradtrack export-nnunet
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <regex>

#include "core/io.h"
#include "core/json.h"
#include "core/parallel.h"
#include "models/recipes.h"
#include "tools/commands.h"
#include "tools/progress.h"
#include "tools/run_config.h"

namespace gt {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string config, out;
  std::vector<std::string> overrides;
};

// Values of labels in nnU-Net.
constexpr uint8_t foreground_label = 1, ignore_label = 2;

/// A new folder. Unless keep() is called, the destructor removes it.
class NewFolder {
 public:
  explicit NewFolder(const std::string& path) : path_(path) {
    if (path_exists(path)) fail(path, ": exists already, expected a new folder");
    make_folder(path);
  }
  ~NewFolder() {
    std::error_code ignored;
    if (!kept_) fs::remove_all(path_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  void keep() { kept_ = true; }

 private:
  std::string path_;
  bool kept_ = false;
};

/// The label image of a hand-drawn mask at its own size.
Image label_of_mask(const Image& mask) {
  Image label(mask.height, mask.width, 1);
  for (size_t i = 0; i < label.pixels.size(); ++i)
    label.pixels[i] = mask.pixels[i] == 255 ? foreground_label : mask.pixels[i] == 0 ? 0 : ignore_label;
  return label;
}

/// The label image of a track: foreground or background where the masks of all thresholds agree, else ignored.
Image label_of_gaze(const Track& track, const Image& image, const PseudoMasks& how) {
  const NoGrad no_grad;
  const Tensor map = refined_map(how, how.map(track, image), image);
  Image label(image.height, image.width, 1);
  std::vector<Image> masks;
  for (const double threshold : how.thresholds) masks.push_back(mask_of(map, threshold));
  for (size_t i = 0; i < label.pixels.size(); ++i) {
    size_t inside = 0;
    for (const Image& mask : masks) inside += mask.pixels[i] == 255;
    label.pixels[i] = inside == masks.size() ? foreground_label : inside == 0 ? 0 : ignore_label;
  }
  return label;
}

/// Writes the images and labels of splits.
class Writer {
 public:
  Writer(const Config& config, const std::string& out) : data_(config.data), out_(out) {}

  /// Loads a split and writes its images to the folder `images` and what `label`, if given, makes to labelsTr.
  Dataset write(const std::string& split, const DataNeeds& needs, const char* images,
                const std::function<Image(const Sample&, const Image&)>& label) {
    std::unique_ptr<ProgressBar> bar;
    LoadHooks hooks;
    hooks.warn = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
    hooks.sample = [&](Sample& sample, size_t, const Image& image, const DatasetFacts&) {
      write_png(str_cat(out_, "/", images, "/", sample.name, "_0000.png"), image);
      if (!label) return;
      const Image made = label(sample, image);
      for (const uint8_t pixel : made.pixels)
        if (pixel == ignore_label) ignores_ = true;
      write_png(str_cat(out_, "/labelsTr/", sample.name, ".png"), made);
    };
    hooks.progress = [&](int64_t done, int64_t count) {
      if (!bar) bar = std::make_unique<ProgressBar>(split, count);
      bar->update(done, "images");
    };
    make_folder(out_ + "/" + images);
    return load_dataset(data_, split, needs, hooks);
  }
  /// Whether a label has ignored pixels.
  bool ignores() const { return ignores_; }

 private:
  const DataOptions& data_;
  std::string out_;
  std::atomic<bool> ignores_ = false;
};

Json names_of(const Dataset& dataset) {
  Json names = Json::array();
  for (const Sample& sample : dataset.samples) names.push_back(sample.name);
  return names;
}

/// The content of dataset.json. Source: https://github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md.
Json description(const Config& config, size_t images, bool ignores, const std::string& gaze) {
  Json json;
  json["channel_names"] = config.data.channels == 3 ? Json{{"0", "R"}, {"1", "G"}, {"2", "B"}} : Json{{"0", "grey"}};
  json["labels"] = {{"background", 0}, {"foreground", foreground_label}};
  if (ignores) json["labels"]["ignore"] = ignore_label;
  json["numTraining"] = images;
  json["file_ending"] = ".png";
  json["overwrite_image_reader_writer"] = "NaturalImage2DIO";
  json["description"] = str_cat("GradTrack, recipe ", config.recipe, ", gaze ", gaze);
  return json;
}

void export_nnunet(const Options& o) {
  if (!std::regex_match(fs::path(o.out).filename().string(), std::regex("Dataset[0-9]{3}_.+")))
    fail(o.out, ": expected a folder called DatasetNNN_NAME, such as Dataset501_Kvasir, as nnU-Net reads");
  Config config = load_config_with_warnings(o.config, o.overrides);
  set_num_threads(int(config.threads));
  DataNeeds needs = data_needs(config);
  needs.training = true;
  needs.labels = needs.masks || needs.some_masks;
  if (!needs.masks && !needs.pseudo)
    fail("pseudo.refine: expected crf (pseudo.crf.iterations=0 leaves the map unrefined), got ", config.pseudo.refine,
         ", which makes no pseudo masks before training");
  PseudoMasks how;
  if (needs.pseudo) how = recipe_of(config).pseudo_masks(config);
  check_splits(config.data);
  NewFolder folder(o.out);
  make_folder(o.out + "/labelsTr");
  Writer writer(config, o.out);
  const Dataset train = writer.write("train", needs, "imagesTr", [&](const Sample& sample, const Image& image) {
    return sample.label.pixels.empty() ? label_of_gaze(sample.track, image, how) : label_of_mask(sample.label);
  });
  const Dataset val = writer.write("val", {.labels = true}, "imagesTr",
                                   [](const Sample& sample, const Image&) { return label_of_mask(sample.label); });
  const std::string test_list = list_path(config.data, "test");
  size_t tests = 0;
  if (path_exists(test_list) && !read_lines(test_list).empty())
    tests = writer.write("test", {}, "imagesTs", nullptr).samples.size();
  const std::string gaze = !needs.gaze ? "none" : train.simulated_gaze ? "simulated" : "recorded";
  const Json splits = Json::array({{{"train", names_of(train)}, {"val", names_of(val)}}});
  write_file(o.out + "/splits_final.json", dump_json(splits, 1) + "\n");
  const size_t images = train.samples.size() + val.samples.size();
  write_file(o.out + "/dataset.json", dump_json(description(config, images, writer.ignores(), gaze), 1) + "\n");
  folder.keep();
  if (train.simulated_gaze) std::printf("The labels of the training images are of SIMULATED gaze.\n");
  std::printf("written: %s: %zu training, %zu validation and %zu test images%s\n", o.out.c_str(), train.samples.size(),
              val.samples.size(), tests, writer.ignores() ? "; label 2 is ignored" : "");
}

}  // namespace

void add_export_nnunet_command(CLI::App& app) {
  auto* command = app.add_subcommand("export-nnunet", "Write a data set with pseudo masks for nnU-Net");
  auto o = std::make_shared<Options>();
  command->add_option("config", o->config, "YAML configuration: data set, recipe and its pseudo masks")
      ->required()
      ->type_name("CONFIG.yaml");
  command->add_option("overrides", o->overrides, "keys that override the file, e.g. data.root=data/kvasir-seg")
      ->type_name("key=value ...");
  command->add_option("--out", o->out, "folder to write: DatasetNNN_NAME in nnUNet_raw")->required()->type_name("DIR");
  command->footer(
      "Writes a data set of nnU-Net v2, of PNG files at the images' own size:\n"
      "  imagesTr/NAME_0000.png  images of train.txt and val.txt\n"
      "  labelsTr/NAME.png       0 and 1; training: pseudo masks of the recipe; validation: hand-drawn masks.\n"
      "                          2 is ignored: pixels on which pseudo masks of several thresholds differ, and\n"
      "                          ignored pixels of masks. With recipe=full, all labels are hand-drawn.\n"
      "  imagesTs/NAME_0000.png  images of test.txt, if there is one\n"
      "  dataset.json, splits_final.json  one fold; copy the latter to the folder in nnUNet_preprocessed\n\n"
      "Example:\n"
      "  gradtrack export-nnunet configs/demo.yaml pseudo.refine=crf --out runs/nnunet/Dataset501_Demo");
  command->callback([o] { export_nnunet(*o); });
}

}  // namespace gt
