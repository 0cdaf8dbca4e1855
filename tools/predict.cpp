// gradtrack predict
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <new>
#include <optional>

#include "core/csv.h"
#include "core/io.h"
#include "core/parallel.h"
#include "gaze/components.h"
#include "gaze/scan.h"
#include "models/checkpoint.h"
#include "tools/commands.h"
#include "tools/outputs.h"
#include "tools/panels.h"
#include "tools/predict_inputs.h"
#include "tools/progress.h"

namespace gt {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> arguments;
  std::vector<PredictInput> inputs;
  std::string out, save = "auto";
  int64_t threads = 0;
  std::string device = "auto";
  int64_t max_pixels = 0;  // 0: the run's data.max_pixels
  bool maps = false, force = false, tta = false, probability = false;
};

/// The path of an output: OUT/NAME and the ending.
std::string output_path(const Options& o, const PredictInput& input, const std::string& ending) {
  return o.out + "/" + image_name(input.path) + ending;
}

/// How the mask of a volume is written: nifti, nrrd or dicom-seg.
std::string save_format(const Options& o, const PredictInput& input) {
  if (o.save != "auto") return o.save;
  return input.kind == PredictInput::Kind::nifti ? "nifti" : "dicom-seg";
}

std::string mask_ending(const Options& o, const PredictInput& input) {
  if (!input.is_volume()) return "_mask.png";
  const std::string format = save_format(o, input);
  return format == "nifti" ? "_mask.nii.gz" : format == "nrrd" ? "_mask.seg.nrrd" : "_mask.dcm";
}

/// The endings of all files that an input becomes.
std::vector<std::string> endings(const Options& o, const PredictInput& input) {
  std::vector<std::string> all = {mask_ending(o, input)};
  if (!input.is_volume()) all.push_back("_overlay.png");
  if (o.probability) all.push_back(input.is_volume() ? "_prob.nii.gz" : "_prob.png");
  for (int64_t level = 1; o.maps && level <= map_levels; ++level) all.push_back(str_cat("_attention", level, ".png"));
  return all;
}

void check_inputs(const Options& o) {
  std::map<std::string, std::string> sources;
  for (const PredictInput& input : o.inputs) {
    if (const auto [it, fresh] = sources.emplace(image_name(input.path), input.path); !fresh)
      fail(input.path, ": has the same name as ", it->second, ", so their masks would overwrite each other");
    if (!input.is_volume()) continue;
    if (o.maps) fail(input.path, ": is a volume, expected images with --maps");
    if (save_format(o, input) == "dicom-seg" && input.kind != PredictInput::Kind::dicom_volume)
      fail(input.path, ": is no DICOM volume, expected one with --save dicom-seg");
  }
  Outputs outputs(o.force);
  for (const PredictInput& input : o.inputs) {
    outputs.reads(input.path);
    for (const std::string& ending : endings(o, input)) outputs.writes(output_path(o, input, ending));
  }
  outputs.writes(o.out + "/predictions.csv");
  outputs.check();
}

/// A row of predictions.csv.
struct Summary {
  std::string name;
  int64_t area = 0, components = 0;
  double probability = 0;  // sum over the foreground
};

/// Counts the foreground of a mask with the sizes x, y, z.
Summary summary_of(const PredictInput& input, const std::vector<uint8_t>& mask, const std::vector<float>& probability,
                   const std::array<int64_t, 3>& sizes) {
  Summary row{image_name(input.path), 0, count_components(mask, sizes), 0};
  for (size_t i = 0; i < mask.size(); ++i)
    if (mask[i]) ++row.area, row.probability += double(probability[i]);
  return row;
}

std::string table_text(const std::vector<Summary>& rows) {
  std::string text = csv_row({"name", "area", "components", "mean_probability"});
  for (const Summary& row : rows) {
    const double mean = row.area > 0 ? row.probability / double(row.area) : std::numeric_limits<double>::quiet_NaN();
    text += csv_row({row.name, std::to_string(row.area), std::to_string(row.components), csv_number(mean)});
  }
  return text;
}

ReadOptions reading_options(const LoadedModel& loaded, const Options& o) {
  ReadOptions reading = read_options(loaded.config.data);
  if (o.max_pixels > 0) reading.max_pixels = o.max_pixels;
  return reading;
}

/// predict_view(), with the image's path in its errors.
PredictedView predict_named(const LoadedModel& loaded, const Image& image, const std::string& path) {
  try {
    return predict_view(*loaded.model, loaded.config.data, image);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
}

/// Segments an image and writes its pictures.
Summary segment_image(const LoadedModel& loaded, const PredictInput& input, const Options& o) {
  const std::string& path = input.path;
  const Image image = read_image(path, int(loaded.config.data.channels), reading_options(loaded, o));
  if (image.coarse) std::fprintf(stderr, "warning: %s\n", coarse_text(path).c_str());
  const PredictedView v = predict_named(loaded, image, path);
  write_png(output_path(o, input, "_mask.png"), v.mask);
  write_png(output_path(o, input, "_overlay.png"), overlay_mask(to_rgb(image), v.mask, nullptr));
  for (size_t l = 0; o.maps && l < v.attention.size(); ++l)
    write_png(output_path(o, input, str_cat("_attention", l + 1, ".png")), v.attention[l]);
  if (o.probability) {
    std::vector<uint16_t> levels;
    for (const float p : v.probability) levels.push_back(uint16_t(std::lround(p * 65535)));
    write_file(output_path(o, input, "_prob.png"), encode_png16(levels, image.height, image.width));
  }
  return summary_of(input, v.mask.pixels, v.probability, {image.width, image.height, 1});
}

/// Segments a volume slice by slice and writes one volume in its geometry.
Summary segment_volume(const LoadedModel& loaded, const PredictInput& input, const Options& o) {
  const ReadOptions reading = reading_options(loaded, o);
  const bool nifti = input.kind == PredictInput::Kind::nifti;
  const Scan scan = nifti ? read_nifti(input.path, reading) : read_dicom_scan(input.path, reading);
  std::vector<uint8_t> mask;
  std::vector<float> probability;
  for (int64_t z = 0; z < scan.geometry.sizes[2]; ++z) {
    const Image slice = scan_slice(scan, z, int(loaded.config.data.channels), reading);
    const PredictedView v = predict_named(loaded, slice, str_cat(input.path, ": slice ", scan.slice_name(z)));
    for (const uint8_t pixel : v.mask.pixels) mask.push_back(is_foreground(pixel));
    probability.insert(probability.end(), v.probability.begin(), v.probability.end());
  }
  const std::string path = output_path(o, input, mask_ending(o, input)), format = save_format(o, input);
  if (format == "nifti") write_file(path, encode_nifti(scan, mask, true));
  if (format == "nrrd") write_file(path, encode_seg_nrrd(scan, mask));
  if (format == "dicom-seg") write_dicom_seg(path, scan, mask);
  if (o.probability) write_file(output_path(o, input, "_prob.nii.gz"), encode_nifti(scan, probability, true));
  return summary_of(input, mask, probability, scan.geometry.sizes);
}

void predict(Options& o) {
  set_num_threads(int(o.threads));
  LoadedModel loaded = load_model(o.model, choose_device(o.device));
  if (o.tta) loaded.model = mirror_averaged(std::move(loaded.model), loaded.config);
  if (o.maps && loaded.config.recipe != "gradtrack")
    fail("--maps: expected a recipe with attention maps, got '", loaded.config.recipe, "'");
  o.inputs = predict_inputs(o.arguments);
  check_inputs(o);
  make_folder(o.out);
  std::optional<ProgressBar> bar(std::in_place, "predict", int64_t(o.inputs.size()));
  std::vector<std::string> errors;
  std::vector<Summary> rows;
  for (size_t i = 0; i < o.inputs.size(); ++i) {
    const PredictInput& input = o.inputs[i];
    try {
      rows.push_back(input.is_volume() ? segment_volume(loaded, input, o) : segment_image(loaded, input, o));
    } catch (const Error& error) {
      errors.push_back(error.what());
    } catch (const std::bad_alloc&) {
      errors.push_back(input.path + ": expected memory for this image, there is too little");
    }
    bar->update(int64_t(i) + 1, "images");
  }
  bar.reset();
  if (!rows.empty()) write_file(o.out + "/predictions.csv", table_text(rows));
  if (loaded.gaze == "simulated") std::printf("The network was trained on SIMULATED gaze.\n");
  std::printf("%zu image%s -> %s\n", rows.size(), rows.size() == 1 ? "" : "s", o.out.c_str());
  if (errors.empty()) return;
  for (size_t i = 0; i + 1 < errors.size(); ++i) std::fprintf(stderr, "gradtrack: %s\n", errors[i].c_str());
  fail(errors.back(),
       o.inputs.size() > 1 ? str_cat(" (", errors.size(), " of ", o.inputs.size(), " images failed)") : "");
}

}  // namespace

void add_predict_command(CLI::App& app) {
  auto* command = app.add_subcommand("predict", "Segment images with a trained network, without gaze");
  auto o = std::make_shared<Options>();
  command->add_option("model", o->model, "folder of a run, whose best.safetensors is used, or a checkpoint file")
      ->required()
      ->type_name("CHECKPOINT");
  command
      ->add_option("images", o->arguments,
                   "JPEG, PNG or DICOM files of any size, volumes (NIfTI, DICOM of several frames), folders, or lists "
                   "NAME.txt with a path a line")
      ->required()
      ->type_name("IMAGE ...");
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
  command->add_flag("--prob", o->probability,
                    "also write the probability of foreground: PNG of 16 bits (65535 is 1), or NIfTI for volumes");
  command
      ->add_option("--save", o->save,
                   "masks of volumes: nifti, nrrd (3D Slicer's segmentation) or dicom-seg; auto: as the volume is")
      ->check(CLI::IsMember({"auto", "nifti", "nrrd", "dicom-seg"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  command->add_flag("--maps", o->maps, "also write the attention map of each decoder level (1 is the coarsest)");
  command->footer(
      "Writes for each image, at its size, NAME_mask.png (0 and 255), NAME_overlay.png (the mask on the\n"
      "image), and with --maps NAME_attention1.png to NAME_attention4.png. A volume is segmented by axial\n"
      "slices, and becomes one volume in its geometry: NAME_mask.nii.gz, .seg.nrrd or .dcm. --prob adds\n"
      "NAME_prob.png or NAME_prob.nii.gz. predictions.csv holds the name, the area (pixels or voxels), the\n"
      "number of connected parts and the mean probability of the foreground. An image that cannot be read is\n"
      "named, the others are segmented, and the exit status is 1.\n\n"
      "Examples:\n"
      "  gradtrack predict runs/demo runs/demo-data/images --out runs/masks --prob\n"
      "  gradtrack predict runs/prostate case1.nii.gz --save nrrd --out masks");
  command->callback([o] { predict(*o); });
}

}  // namespace gt
