// gradtrack eval
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/folder_lock.h"
#include "core/io.h"
#include "core/json.h"
#include "core/parallel.h"
#include "models/checkpoint.h"
#include "models/evaluate.h"
#include "models/recipes.h"
#include "models/trainer.h"
#include "tools/commands.h"
#include "tools/panels.h"
#include "tools/progress.h"
#include "tools/run_folder.h"

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
};

Json summary(const std::vector<ImageScores>& scores) {
  Json all;
  for (const Metric& m : metric_table()) {
    const MeanStd s = summarize_scores(scores, m);
    all[m.key] = {{"mean", s.mean}, {"std", s.std}};
  }
  return all;
}

void print_table(const char* title, const Json& all) {
  std::printf("%-14s %10s %10s\n", title, "mean", "std");
  for (const Metric& m : metric_table()) {
    const int decimals = m.decimals + 1;
    std::printf("%-14s %10.*f %10.*f  %s\n", m.key, decimals, all[m.key]["mean"].get<double>(), decimals,
                all[m.key]["std"].get<double>(), m.unit);
  }
}

std::vector<ImageScores> evaluate_with_progress(const char* title, const Model& model, const Dataset& dataset,
                                                const Config& config) {
  ProgressBar bar(title, int64_t(dataset.samples.size()));
  return evaluate_model(model, dataset, config.train.batch, [&bar](int64_t done) { bar.update(done, "images"); });
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

void evaluate_run(const Options& o) {
  if (o.split.find('/') != o.split.npos) fail("--split: expected a name without '/', got '", o.split, "'");
  set_num_threads(int(o.threads));
  LoadedModel loaded = load_model(o.model, choose_device(o.device));
  Config& config = loaded.config;
  if (o.tta) loaded.model = mirror_averaged(std::move(loaded.model), config);
  if (!o.data.empty()) config.data.root = o.data;
  const DataNeeds needs = {.labels = true, .optional_gaze = true, .seed = uint64_t(config.seed)};
  const Dataset dataset =
      load_dataset(config.data, o.split, needs, {.sample = {}, .progress = {}, .warn = print_warning});
  compare_with_training(config.data, o.split, dataset);
  const std::string parent = std::filesystem::path(loaded.path).parent_path().string();
  const std::string folder = !o.out.empty() ? o.out : parent.empty() ? "." : parent;
  make_folder(folder);
  const FolderLock lock(folder, "gradtrack eval");
  remove_stale_temporaries(folder);

  const std::vector<ImageScores> scores = evaluate_with_progress("eval", *loaded.model, dataset, config);
  // Scores by mirror images do not replace the others: they have another split name.
  const std::string split = o.tta ? o.split + "_tta" : o.split;
  Json result = {{"checkpoint", loaded.path}, {"data", config.data.root}, {"split", split},
                 {"images", scores.size()},   {"recipe", config.recipe},  {"gaze", loaded.gaze}};
  if (config.train.select == "test") result["warning"] = selected_on_test;
  const Json means = summary(scores);
  result.update(means);
  if (o.untrained)
    result["untrained"] = summary(
        evaluate_with_progress("untrained", *make_model(config, DType::f32, loaded.model->device()), dataset, config));
  Json& per_image = result["per_image"] = Json::array();
  for (const ImageScores& s : scores) {
    per_image.push_back({{"name", s.name}});
    for (const Metric& m : metric_table()) per_image.back()[m.key] = s.scores.at(m.key);
  }
  write_panels(loaded, dataset, scores, size_t(o.panels), folder, per_image);
  const std::string path = folder + "/" + evaluation_name(split);
  write_file(path, dump_json(result, 1) + "\n");

  std::printf("%s on %s (%s), %zu images\n", config.recipe.c_str(), split.c_str(), config.data.root.c_str(),
              scores.size());
  if (loaded.gaze == "simulated") std::printf("trained on SIMULATED gaze\n");
  if (config.train.select == "test") std::printf("%s\n", selected_on_test);
  print_table("metric", means);
  if (o.untrained) print_table("untrained", result["untrained"]);
  std::printf("written: %s\n", path.c_str());
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto* command = app.add_subcommand("eval", "Score a trained network on a data set with masks");
  auto o = std::make_shared<Options>();
  command->add_option("model", o->model, "folder of a run, whose best.safetensors is used, or a checkpoint file")
      ->required()
      ->type_name("RUN_OR_CHECKPOINT");
  command->add_option("--data", o->data, "folder of the data set (default: the one of the training)")
      ->type_name("ROOT");
  command->add_option("--split", o->split, "images to evaluate, listed in ROOT/SPLIT.txt")->capture_default_str();
  command->add_option("--out", o->out, "folder for eval_SPLIT.json and panels/ (default: the folder of the checkpoint)")
      ->type_name("DIR");
  command->add_option("--panels", o->panels, "number of pictures of the best, of median and of the worst images")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--threads", o->threads, "compute threads; 0 uses all processors")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--device", o->device, "device: auto, cpu or cuda")->capture_default_str();
  command->add_flag("--tta", o->tta, "average predictions over mirror images of the image; writes eval_SPLIT_tta.json");
  command->add_flag("--untrained", o->untrained, "also score the network with its initial parameters");
  command->footer(
      "Predicts a mask for each image at the size of its label, and scores it. Writes eval_SPLIT.json with\n"
      "the scores of each image, their mean and standard deviation, and pictures to panels/. Prints the means.\n\n"
      "Example:\n"
      "  gradtrack eval runs/kvasir_small --split val");
  command->callback([o] { evaluate_run(*o); });
}

}  // namespace gt
