// gradtrack eval
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/communicator.h"
#include "core/folder_lock.h"
#include "core/io.h"
#include "core/json.h"
#include "core/parallel.h"
#include "models/checkpoint.h"
#include "models/cooperation.h"
#include "models/evaluate.h"
#include "models/recipes.h"
#include "models/run_log.h"
#include "models/trainer.h"
#include "tools/commands.h"
#include "tools/label_options.h"
#include "tools/numbers.h"
#include "tools/panels.h"
#include "tools/progress.h"
#include "tools/run_folder.h"
#include "tools/score_folders.h"
#include "tools/scores.h"

namespace gt {
namespace {

struct Options {
  std::string model;
  std::string data;
  std::string split = "test";
  std::string out;
  int64_t threads = 0;
  std::string device = "auto";
  int64_t panels = 3;
  bool untrained = false, tta = false;
  PixelSpacing spacing;  // of all images; not known: of each DICOM image
  FolderScoring folders;
};

std::vector<ImageScores> evaluate_with_progress(const char* title, const Model& model, const Dataset& dataset,
                                                const Config& config, const Communicator& processes) {
  if (processes.rank() > 0) return evaluate_model(model, dataset, config.train.batch, nullptr, processes);
  ProgressBar bar(title, int64_t(dataset.samples.size()));
  const auto progress = [&bar](int64_t done) { bar.update(done, "images"); };
  return evaluate_model(model, dataset, config.train.batch, progress, processes);
}

/// Writes pictures of the best, median and worst cases to folder/panels, and their paths to the entries of `per_image`.
void write_panels(const LoadedModel& loaded, const Dataset& dataset, const std::vector<ImageScores>& scores,
                  size_t count, const std::string& folder, Json& per_image) {
  if (count > 0) make_folder(folder + "/panels");
  std::vector<double> dice;
  for (const ImageScores& s : scores) dice.push_back(s.scores.at("dice"));
  for (const auto& [i, rank] : cases_to_show(dice, count)) {
    const std::string path = "panels/" + dataset.samples[i].name + ".png";
    const Panel panel = case_panel(*loaded.model, loaded.config, dataset.samples[i]);
    write_png(folder + "/" + path, panel.picture);
    per_image[i].update({{"panel", path}, {"panel_columns", panel.columns}, {"rank", rank}});
  }
}

void print_warning(const std::string& line) { std::fprintf(stderr, "warning: %s\n", line.c_str()); }

/// Warns if images of the split were trained on, under their name or another. Warns too if values of its masks mean
/// something else than in the validation images' masks.
void compare_with_training(const DataOptions& data, const std::string& split, const Dataset& dataset) {
  if (split == "train") return;
  const auto warn_if_it_fails = [](const auto& check) {
    try {
      check();
    } catch (const Error& error) {
      print_warning(error.what());
    }
  };
  warn_if_it_fails([&] { check_splits(data); });
  warn_if_it_fails([&] { warn_of_training_pictures(data, dataset, print_warning); });
  warn_if_it_fails([&] {
    MaskValues values = first_mask_values(data, "val");
    values.add(dataset.mask_values);
  });
}

void evaluate_run(const Options& o, const Communicator& processes) {
  if (o.split.find('/') != o.split.npos) fail("--split: expected a name without '/', got '", o.split, "'");
  LoadedModel loaded = load_model(o.model, choose_device(o.device));
  Config& config = loaded.config;
  if (o.tta) loaded.model = mirror_averaged(std::move(loaded.model), config);
  if (!o.data.empty()) config.data.root = o.data;
  const bool first = processes.rank() == 0;  // the one that reports and writes
  const DataNeeds needs = {.labels = true, .optional_gaze = true, .seed = uint64_t(config.seed)};
  LoadHooks hooks;
  if (first) hooks.warn = print_warning;
  Dataset dataset = load_dataset(config.data, o.split, needs, hooks);
  require_same_files(processes, config.data.root, files_text(dataset.files));
  require_same_start(processes, 0, loaded.model->parameters());
  const auto evaluate = [&](const char* title, const Model& model) {
    return evaluate_with_progress(title, model, dataset, config, processes);
  };
  const auto untrained = [&] { return evaluate("untrained", *make_model(config, DType::f32, loaded.model->device())); };
  if (!first) {
    evaluate("eval", *loaded.model);
    if (o.untrained) untrained();
    return;
  }
  compare_with_training(config.data, o.split, dataset);
  if (o.spacing.known())
    for (Sample& sample : dataset.samples) sample.label.spacing = o.spacing;
  const std::string parent = std::filesystem::path(loaded.path).parent_path().string();
  const std::string folder = !o.out.empty() ? o.out : parent.empty() ? "." : parent;
  make_folder(folder);
  const FolderLock lock(folder, "gradtrack eval");
  remove_stale_temporaries(folder);

  const std::vector<ImageScores> scores = evaluate("eval", *loaded.model);
  // Scores by mirror images do not replace the others: they have another split name.
  const std::string split = o.tta ? o.split + "_tta" : o.split;
  Json result = {{"checkpoint", loaded.path}, {"data", config.data.root}, {"split", split},
                 {"images", scores.size()},   {"recipe", config.recipe},  {"gaze", loaded.gaze}};
  if (config.train.select == "test") result["warning"] = selected_on_test;
  const Json means = summary_json(scores);
  result.update(means);
  if (o.untrained) result["untrained"] = summary_json(untrained());
  Json& per_image = result["per_image"] = per_image_json(scores);
  write_panels(loaded, dataset, scores, size_t(o.panels), folder, per_image);

  std::printf("%s on %s (%s), %zu images\n", config.recipe.c_str(), split.c_str(), config.data.root.c_str(),
              scores.size());
  if (loaded.gaze == "simulated") std::printf("trained on SIMULATED gaze\n");
  if (config.train.select == "test") std::printf("%s\n", selected_on_test);
  print_summary("metric", means);
  if (o.untrained) print_summary("untrained", result["untrained"]);
  write_evaluation(folder + "/" + evaluation_name(split), result, scores);
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto* command = app.add_subcommand("eval", "Score a trained network on a data set with masks");
  auto o = std::make_shared<Options>();
  auto* model =
      command->add_option("model", o->model, "folder of a run, whose best.safetensors is used, or a checkpoint file")
          ->type_name("RUN_OR_CHECKPOINT");
  command->add_option("--data", o->data, "folder of the data set (default: the one of the training)")
      ->needs(model)
      ->type_name("ROOT");
  command->add_option("--split", o->split, "images to evaluate, listed in ROOT/SPLIT.txt")
      ->needs(model)
      ->capture_default_str();
  command
      ->add_option("--out", o->out,
                   "folder for eval_SPLIT.json, eval_SPLIT.csv and panels/ (default: the folder of the checkpoint)")
      ->type_name("DIR");
  command
      ->add_option_function<std::string>(
          "--spacing",
          [o](const std::string& text) {
            const auto n = parse_numbers("--spacing", text, ',', 2, "ROWS,COLUMNS in mm, such as 0.5,0.5");
            o->spacing = {n[0], n[1]};
          },
          "mm from row to row and from column to column, for scores in mm (default: PixelSpacing of DICOM images)")
      ->type_name("ROWS,COLUMNS");
  command->add_option("--panels", o->panels, "number of pictures of the best, of median and of the worst images")
      ->needs(model)
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--threads", o->threads, "compute threads; 0 uses all processors")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--device", o->device, "device: auto, cpu or cuda")->needs(model)->capture_default_str();
  command->add_flag("--tta", o->tta, "average predictions over mirror images of the image; writes eval_SPLIT_tta.json")
      ->needs(model);
  command->add_flag("--untrained", o->untrained, "also score the network with its initial parameters")->needs(model);
  auto* masks = command->add_option("--masks", o->folders.masks, "folder of true masks NAME.png, for any predictions")
                    ->type_name("FOLDER")
                    ->excludes(model);
  auto* predictions =
      command
          ->add_option("--predictions", o->folders.predictions,
                       "folder of their predictions, NAME.png or NAME_mask.png, at the size of the mask")
          ->type_name("FOLDER")
          ->needs(masks);
  masks->needs(predictions);
  command->add_option("--list", o->folders.list, "file with the names to score, one a line (default: all masks)")
      ->type_name("FILE")
      ->needs(masks);
  add_label_options(*command, o->folders.labels, masks);
  command->footer(
      "Predicts a mask for each image at the size of its label, and scores it. Writes eval_SPLIT.json with\n"
      "the scores of each image, their mean and standard deviation, a table of the images, eval_SPLIT.csv, and\n"
      "pictures to panels/. Prints the means.\n\n"
      "With --masks and --predictions, scores masks of any program and writes eval_predictions.json and\n"
      "eval_predictions.csv to --out (default: the folder of the predictions).\n\n"
      "Examples:\n"
      "  gradtrack eval runs/demo --split val\n"
      "  gradtrack eval --masks runs/demo-data/masks --predictions runs/demo-data/masks --out runs/scores");
  command->callback([o] {
    const Communicator processes = connect_processes();
    set_num_threads(o->threads == 0 && processes.size() > 1 ? processes.processors() : int(o->threads));
    if (!o->folders.masks.empty() && processes.size() > 1)
      fail("--masks: expected one process, ", processes.size(), " were started together");
    if (!o->folders.masks.empty()) return score_folders(o->folders, o->spacing, o->out);
    if (o->model.empty()) throw CLI::RequiredError("RUN_OR_CHECKPOINT, or --masks and --predictions");
    evaluate_run(*o, processes);
  });
}

}  // namespace gt
