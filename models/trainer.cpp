#include "models/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include "core/autograd.h"
#include "core/folder_lock.h"
#include "core/io.h"
#include "core/parallel.h"
#include "models/checkpoint.h"
#include "models/cooperation.h"
#include "models/data_cache.h"
#include "models/recipes.h"
#include "models/run_log.h"

namespace gt {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* run_files[] = {"config.yaml",      "metrics.jsonl", "metrics.csv", "best.safetensors",
                                     "last.safetensors", "report.html",   "panels",      "tensorboard"};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The first file of a run in the folder; "" if it has none.
std::string run_file_in(const std::string& folder) {
  for (const char* name : run_files)
    if (path_exists(folder + "/" + name)) return name;
  std::error_code ignored;  // a missing folder has no files
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    if (const std::string name = entry.path().filename(); name.starts_with("eval") && name.ends_with(".json"))
      return name;
  return "";
}

/// Throws Error if the configuration `saved` of the run in the folder gives other results than `config`.
void require_same_run(const std::string& folder, const Config& saved, const Config& config) {
  const std::string difference = first_difference(result_config(saved), result_config(config));
  if (difference.empty()) return;
  std::string hint;  // earlier versions had no defaults of recipes
  const std::vector<config::KeyInfo> there = list_keys(saved), here = list_keys(config);
  for (const auto& [own, value] : recipe_of(config).defaults)
    for (size_t i = 0; i < there.size(); ++i)
      if (there[i].path == own && there[i].value != here[i].value) hint += " " + own + "=" + there[i].value;
  fail(folder, ": holds a run of another configuration: ", difference,
       hint.empty() ? "" : "; to continue it, set" + hint);
}

/// Reads a checkpoint of a run. Throws Error if its configuration gives other results than `config`.
SafeTensors read_checkpoint_of(const std::string& folder, const std::string& path, const Config& config) {
  SafeTensors checkpoint = read_checkpoint(path);
  require_same_run(folder, parse_run_config(metadata_entry(checkpoint, "config", path), path + " (its config)"),
                   config);
  return checkpoint;
}

/// The iteration of a best checkpoint, and its validation Dice.
struct BestFacts {
  int64_t iteration;
  double dice;
};

BestFacts best_facts(const SafeTensors& checkpoint, const std::string& path) {
  const std::string where = path + ": best";
  const Json json = parse_json(metadata_entry(checkpoint, "best", path), where);
  return {json_integer(json, "iteration", where, 0, INT64_MAX), json_number(json, "val_dice", where, -1, 1)};
}

/// Throws Error unless the folder is without a run or holds one that was ended before its first checkpoint, which can
/// start again.
void require_no_progress(const std::string& folder, const Config& config) {
  const std::string found = run_file_in(folder), yaml = folder + "/config.yaml", best = folder + "/best.safetensors";
  if (found.empty()) return;
  if (!path_exists(yaml)) fail(folder, ": holds ", found, " of a run, expected its config.yaml too");
  const Config saved = parse_run_config(read_file(yaml), yaml);
  require_same_run(folder, saved, config);
  int64_t iteration = logged_iterations(folder + "/metrics.jsonl");
  if (path_exists(best))
    iteration = std::max(iteration, best_facts(read_checkpoint_of(folder, best, config), best).iteration);
  if (iteration > saved.train.checkpoint_every)
    fail(folder, ": last.safetensors is missing, though the run went to iteration ", iteration,
         "; restore it, or train in another folder");
}

}  // namespace

struct Trainer::State {
  Config config;
  std::string folder;
  TrainingObserver observer;
  Device device;
  Communicator processes;
  std::unique_ptr<SampleSource> train, val;  // val is empty if nothing is validated on
  std::unique_ptr<Model> model;
  std::optional<Optimizer> optimizer;
  std::unique_ptr<Model> averaged;  // with the averages as parameters; null without train.ema
  std::optional<WeightAverage> average;
  std::optional<GradientSum> gradients;  // of several processes
  std::optional<TrainingStep> step;
  std::optional<FolderLock> lock;
  std::optional<MetricsLog> log;
  std::string files;  // of the training and validation images, as a checkpoint has them
  RunCounters counters;
  bool from_simulated = false;  // train.init has seen simulated gaze
  bool stopped = false;         // the processes agree to stop
  Clock::time_point start = Clock::now();

  /// Whether this process writes the files of the run.
  bool writes() const { return processes.rank() == 0; }
  /// The items of each batch that this process has.
  Slice slice() const { return slice_of(config.train.batch, processes.rank(), processes.size()); }

  /// The network that is validated and kept as the best.
  const Model& final_model() const { return averaged ? *averaged : *model; }

  std::string file(const char* name) const { return folder + "/" + name; }
  double seconds() const { return log->seconds_before() + seconds_since(start); }
  bool stop_asked() const { return observer.stop && observer.stop(); }
  void end_if_asked() const {
    if (stop_asked()) throw Interrupted("interrupted");
  }
  /// Several processes stop after the same iteration: when the losses are next summed.
  bool stop_agreed() const { return processes.size() == 1 ? stop_asked() : stopped; }

  /// The samples of a split. Several processes read packed ones if all of them have these; else they share the work on
  /// pseudo masks.
  std::unique_ptr<SampleSource> open(const DataCache& cache, const RunSplit& split) {
    if (processes.size() == 1) return cache.open(split);
    PackAttempt there = cache.keeps() ? cache.open_packed(split) : PackAttempt();
    std::vector<double> have = {there.samples ? 1.0 : 0.0};
    processes.sum(have);
    if (have[0] == processes.size()) return std::move(there.samples);
    if (cache.keeps() && observer.message)
      observer.message(str_cat("data: ", split.name, " is not packed for all processes",
                               there.reason.empty() ? "" : ": " + there.reason, "; gradtrack pack makes it"));
    std::unique_ptr<Dataset> loaded =
        cache.load(split, [this](size_t i) { return makes_pseudo_masks_of(processes, i); });
    if (split.needs.pseudo)
      exchange_pseudo_masks(processes, *loaded, recipe_of(config).pseudo_thresholds(config).size(), config.data.size);
    return loaded;
  }

  void load_data() {
    require_same_config(processes, config);
    check_splits(config.data);
    const DataCache cache(config,
                          {observer.message, observer.message, observer.pseudo_masks, [this] { end_if_asked(); }});
    const std::vector<RunSplit> splits = splits_of_run(config);
    train = open(cache, splits[0]);
    val = splits.size() > 1 ? open(cache, splits[1]) : std::make_unique<Dataset>();
    FileDigests all = train->facts().files;
    all.add(val->facts().files);
    files = files_text(all);
    require_same_files(processes, config.data.root, files);
    const DatasetFacts &facts = train->facts(), &of_val = val->facts();
    warn_of_same_pictures(facts, of_val, observer.message);
    MaskValues values = facts.mask_values;
    values.add(of_val.mask_values);
    if (!observer.message) return;
    observer.message(str_cat("data: ", train->size(), " training and ", val->size(), " validation images",
                             facts.simulated_gaze ? ", SIMULATED gaze" : ""));
    if (!facts.gaze_assumed.empty()) observer.message("gaze: " + facts.gaze_assumed);
    if (config.train.select == "test") observer.message(selected_on_test);
    if (val->size() == 0) observer.message("no masks to validate on: the last network is kept");
    const DataNeeds& needs = splits[0].needs;
    if (needs.pseudo)
      observer.message(
          str_cat("pseudo masks: ", recipe_of(config).pseudo_thresholds(config).size(), " per training image"));
    if (!config.data.masks.empty() && !needs.some_masks)
      observer.message(str_cat("data.masks is not for recipe ", config.recipe, ", which does not read it"));
    if (needs.some_masks)
      observer.message(str_cat("hand-drawn masks: of ", facts.masks, " training images, in place of pseudo masks"));
  }

  void open(const std::string& path, bool resume) {
    folder = path;
    if (writes()) {
      make_folder(folder);
      lock.emplace(folder, "gradtrack train");
      require_free_folder(folder, resume);
      remove_stale_temporaries(folder);
    }
    const bool restores =
        processes.broadcast(writes() && path_exists(file("last.safetensors")) ? "yes" : "no") == "yes";
    restores ? restore() : begin();
    require_same_start(processes, counters.iteration, model->parameters());
  }

  void begin() {
    if (writes()) require_no_progress(folder, config);
    take_initial_parameters();
    if (!writes()) return;
    write_file(file("config.yaml"), write_config(config));
    log.emplace(file("metrics.jsonl"));
    log->add({{"run", facts()}});
  }

  /// Loads the encoder's weights that model.weights names, or the parameters of the run that train.init names.
  void take_initial_parameters() {
    if (!config.model.weights.empty()) {
      load_torchvision_weights(model->parameters(), config.model.weights);
      if (average) average->reset();
      if (observer.message) observer.message(str_cat("the encoder starts with the weights of ", config.model.weights));
    }
    if (config.train.init.empty()) return;
    const std::string path = checkpoint_path(config.train.init);
    const SafeTensors checkpoint = read_checkpoint(path);
    model->parameters().load(checkpoint, path);
    if (average) average->reset();
    from_simulated = metadata_entry(checkpoint, "gaze", path) == "simulated";
    if (observer.message)
      observer.message(str_cat("starts with the parameters of ", path, from_simulated ? ", SIMULATED gaze" : ""));
  }

  /// The batches from the next iteration on.
  Loader loader() const {
    return {*train,
            config.data,
            config.augment,
            config.maps,
            config.train.batch,
            uint64_t(config.seed),
            counters.iteration,
            {slice(), config.train.accumulate}};
  }

  /// The batches of the next iteration.
  std::vector<Batch> next_batches(Loader& batches) const {
    std::vector<Batch> all;
    for (int64_t k = 0; k < config.train.accumulate; ++k) all.push_back(batches.next());
    return all;
  }

  /// The gaze that this run is trained on: none, simulated or recorded.
  const char* gaze_source() const {
    return from_simulated                  ? "simulated"
           : !data_needs(config).gaze      ? "none"
           : train->facts().simulated_gaze ? "simulated"
                                           : "recorded";
  }

  Json facts() const {
    return {
        {"recipe", config.recipe},       {"select", config.train.select}, {"parameters", model->parameters().count()},
        {"train_images", train->size()}, {"val_images", val->size()},     {"train_masks", train->facts().masks},
        {"gaze", gaze_source()},         {"device", to_string(device)},   {"threads", num_threads()},
        {"processes", processes.size()}, {"version", GT_VERSION}};
  }

  void restore() {
    const std::string path = file("last.safetensors");
    const SafeTensors checkpoint = read_checkpoint_of(folder, path, config);
    counters = read_counters(checkpoint, path, config.train);
    const size_t terms = model->loss_terms().size();
    if (counters.losses.count > 0 && counters.losses.sum.terms.size() != terms)
      fail(path, ": counters: expected ", terms, " loss terms, got ", counters.losses.sum.terms.size());
    require_same_data(checkpoint, path);
    from_simulated = !config.train.init.empty() && metadata_entry(checkpoint, "gaze", path) == "simulated";
    require_best();
    model->parameters().load(checkpoint, path);
    optimizer->restore(checkpoint, counters.iteration, path);
    if (average) average->restore(checkpoint, counters.iteration, path);
    if (!writes()) return;
    log.emplace(file("metrics.jsonl"), counters, config.train);
    if (!path_exists(file("config.yaml"))) write_file(file("config.yaml"), write_config(config));
    if (observer.message) observer.message(str_cat("resuming after iteration ", counters.iteration));
  }

  /// Throws Error if the data are not those that the run of the checkpoint began with. Version 2 recorded none.
  void require_same_data(const SafeTensors& checkpoint, const std::string& path) const {
    const auto then = checkpoint.metadata.find("data");
    if (then == checkpoint.metadata.end()) return;
    const std::string difference = first_data_difference(then->second, files, path + ": data");
    if (!difference.empty())
      fail(config.data.root, ": the data changed since the run in ", folder, " began: ", difference);
  }

  /// Throws Error unless best.safetensors holds the network of the best validation, if there was one.
  void require_best() const {
    if (counters.best_dice < 0) return;
    const std::string path = file("best.safetensors");
    if (!path_exists(path))
      fail(path, ": is missing, though a validation had Dice ", counters.best_dice,
           "; restore it, or train in another folder");
    const BestFacts best = best_facts(read_checkpoint_of(folder, path, config), path);
    if (!counters.repeats(best.iteration) && best.dice != counters.best_dice)
      fail(path, ": expected the network of the best validation, with Dice ", counters.best_dice,
           ", found one with Dice ", best.dice);
  }

  /// Writes a checkpoint of a network. Throws Error instead if a parameter is not finite.
  void write_checkpoint(const char* name, const Model& network, const std::map<std::string, std::string>& more,
                        const NamedTensors& tensors = {}) const {
    SafeTensors checkpoint = make_checkpoint(network, config, gaze_source(), more);
    checkpoint.tensors.insert(checkpoint.tensors.end(), tensors.begin(), tensors.end());
    const std::string bad = first_not_finite(checkpoint);
    if (!bad.empty())
      fail("iteration ", counters.iteration, ": parameter '", bad, "' is not finite; try a smaller optimizer.lr (now ",
           config.optimizer.lr, ")");
    write_safetensors(file(name), checkpoint);
  }

  void save() {
    if (!writes()) return;
    log->sync();  // a checkpoint never survives a power failure without its log
    NamedTensors state = optimizer->state();
    if (average)
      for (const auto& tensor : average->state()) state.push_back(tensor);
    write_checkpoint("last.safetensors", *model, {{"counters", counters_text(counters)}, {"data", files}}, state);
    write_file(file("metrics.csv"), metrics_csv(file("metrics.jsonl")));
  }

  /// The largest number of fixations that a batch can have.
  int64_t fixations_of_batch() const {
    std::vector<int64_t> counts;
    for (int64_t i = 0; i < train->size(); ++i) counts.push_back(train->fixations(i));
    return max_fixations(counts, slice().size());
  }

  void put_losses(const StepLosses& losses, TrainReport& report) const {
    const std::vector<std::string> names = model->loss_terms();
    report.total = losses.total;
    report.gradient_norm = losses.gradient_norm;
    report.terms.clear();
    for (size_t i = 0; i < names.size(); ++i) report.terms.emplace_back(names[i], losses.terms[i]);
  }

  /// Adds the losses that are known now to the sums, and writes the latest into the report.
  void take_losses(TrainReport& report) {
    int64_t iteration = counters.iteration - step->pending();
    stopped = stop_asked();
    for (const StepLosses& losses : sum_losses(processes, step->take_losses(), &stopped)) {
      ++iteration;
      if (!std::isfinite(losses.total))
        fail("iteration ", iteration, ": the loss is not finite; try a smaller optimizer.lr (now ", config.optimizer.lr,
             ")");
      if (!std::isfinite(losses.gradient_norm))
        fail("iteration ", iteration, ": the gradient is not finite; try a smaller optimizer.lr (now ",
             config.optimizer.lr, ")");
      counters.losses.add(losses);
      put_losses(losses, report);
    }
  }

  /// Logs the mean losses since the last line.
  void write(TrainReport& r) {
    put_losses(std::exchange(counters.losses, {}).mean(), r);
    if (observer.log) observer.log(r);
    if (!writes()) return;
    Json terms = Json::object();
    for (const auto& [name, value] : r.terms) terms[name] = value;
    Json line = {{"iteration", r.iteration}, {"lr", r.lr}, {"loss", r.total}, {"terms", terms}};
    if (config.optimizer.clip > 0) line["gradient_norm"] = r.gradient_norm;
    line["images_per_s"] = r.images_per_second;
    line["seconds"] = seconds();
    log->add(line);
  }

  void validate() {
    if (val->size() == 0) {
      if (counters.iteration == config.train.iterations)
        keep_best({.iteration = counters.iteration, .dice = -1, .iou = -1, .best = true});
      counters.validation_due = false;
      return;
    }
    const auto progress = [this](int64_t) {
      if (processes.size() == 1) end_if_asked();  // several stop together, after this validation
    };
    const std::vector<ImageScores> scores =
        evaluate_model(final_model(), *val, config.train.batch, progress, processes);
    Json means;
    for (const Metric* m : known_metrics(scores)) means[m->key] = summarize_scores(scores, *m).mean;
    if (writes()) log->add({{"iteration", counters.iteration}, {"val", means}, {"seconds", seconds()}});
    const bool best = config.train.select == "last" ? counters.iteration == config.train.iterations
                                                    : means["dice"] > counters.best_dice;
    ValidationReport report{counters.iteration, means["dice"], means["iou"], best};
    for (const auto& [metric, mean] : means.items()) report.means.emplace_back(metric, mean);
    report.model = &final_model(), report.images = val.get(), report.data = &config.data;
    if (best) keep_best(report);
    counters.validation_due = false;
    if (observer.validation) observer.validation(report);
  }

  void keep_best(const ValidationReport& report) {
    counters.best_dice = report.dice;
    if (!writes()) return;
    const Json facts = {{"iteration", report.iteration}, {"val_dice", report.dice}};
    write_checkpoint("best.safetensors", final_model(), {{"best", facts.dump()}});
  }

  /// Trains to the last iteration. Throws Interrupted if the observer asks for it.
  void train_on() {
    const TrainOptions& t = config.train;
    if (counters.validation_due) {
      validate();  // at first, of the untrained network
      if (counters.iteration == t.iterations) save();
    }
    Loader batches = loader();
    Clock::time_point window = Clock::now();
    TrainReport report;
    report.iterations = t.iterations;
    for (int64_t since = 1; counters.iteration < t.iterations; ++since) {
      report.lr =
          cosine_lr(config.optimizer, counters.iteration, t.iterations, t.images_per_iteration(), train->size());
      step->run(next_batches(batches), report.lr, config.attention.supervised(counters.iteration, t.iterations));
      report.iteration = ++counters.iteration;
      const bool last = report.iteration == t.iterations, log = report.iteration % t.log_every == 0 || last;
      if (log || device == Device::cpu) take_losses(report);  // waits for a GPU
      report.images_per_second = double(since * t.images_per_iteration()) / seconds_since(window);
      if (observer.iteration) observer.iteration(report);
      const bool stop = stop_agreed();
      if (stop) take_losses(report);
      if (log) write(report);
      counters.validation_due = last || report.iteration % t.val_every == 0;
      if (stop) throw Interrupted("interrupted");
      if (!log) continue;

      if (counters.validation_due) validate();
      if (report.iteration % t.checkpoint_every == 0 || last) save();
      since = 0;
      window = Clock::now();
    }
  }
};

void require_free_folder(const std::string& folder, bool resume) {
  const std::string found = run_file_in(folder);
  if (!found.empty() && !resume)
    fail(folder, ": holds a run already (", found, "); resume it with --resume, or set another folder with --out");
}

void require_precision(const Config& config, Device device) {
  if (config.precision != "f32" && device == Device::cpu)
    fail("precision '", config.precision, "': expected f32 on the CPU; f32, tf32 and bf16 are for device cuda");
}

Trainer::Trainer(const Config& config, TrainingObserver observer, Device device, const Communicator& processes)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.config = config;
  s.processes = processes;
  s.observer = std::move(observer);
  s.device = device;
  require_precision(config, device);
  if (processes.size() > config.train.batch)
    fail("train.batch ", config.train.batch, ": expected at least an image for each of the ", processes.size(),
         " processes");
  set_num_threads(config.threads == 0 && processes.size() > 1 ? processes.processors() : int(config.threads));
  if (s.observer.message)
    s.observer.message(str_cat(processes.size() == 1 ? "" : str_cat(processes.size(), " processes, each with "),
                               "device ", device, ", ", num_threads(), " threads"));
  s.load_data();
  s.model = make_model(config, DType::f32, device);
  s.optimizer.emplace(config.optimizer, s.model->parameters());
  s.step.emplace(*s.model, *s.optimizer, config, s.fixations_of_batch(), config.train.log_every);
  if (config.train.ema > 0) {
    s.averaged = make_model(config, DType::f32, device);
    s.average.emplace(config.train.ema, s.model->parameters(), s.averaged->parameters());
    s.step->keep_average(*s.average, *s.averaged);
  }
  if (processes.size() == 1) return;
  s.gradients.emplace(processes, s.model->parameters(), config.train.reduce == "bf16" ? DType::bf16 : DType::f32);
  s.step->share_batches({processes, double(s.slice().size()) / double(config.train.batch)}, *s.gradients);
}

Trainer::~Trainer() = default;

bool Trainer::run(const std::string& folder, bool resume) {
  State& s = *state_;
  s.open(folder, resume);
  try {
    s.train_on();
  } catch (const Interrupted&) {
    s.save();
    s.processes.broadcast("saved");  // no process ends the others before rank 0 has saved
    return false;
  }
  if (s.writes()) s.require_best();
  return true;
}

SumTimes Trainer::sum_times() const { return state_->gradients ? state_->gradients->times() : SumTimes(); }

RunProgress saved_progress(const std::string& folder, const Config& config) {
  const std::string checkpoint = folder + "/last.safetensors", yaml = folder + "/config.yaml";
  if (path_exists(checkpoint)) {
    const RunCounters saved = read_counters(read_checkpoint_of(folder, checkpoint, config), checkpoint, config.train);
    return {saved.iteration, saved.finished(config.train)};
  }
  if (path_exists(yaml)) require_same_run(folder, parse_run_config(read_file(yaml), yaml), config);
  return {};
}

std::unique_ptr<Profile> Trainer::profile(int64_t warm_up, int64_t iterations) {
  State& s = *state_;
  Loader loader = s.loader();
  std::unique_ptr<Profile> profile;
  TrainReport report;
  report.iterations = warm_up + iterations;
  for (; report.iteration < report.iterations; ++report.iteration) {
    if (s.observer.iteration) s.observer.iteration(report);
    if (report.iteration == warm_up) profile = std::make_unique<Profile>(s.device);
    const NamedRange range("step");
    const std::vector<Batch> batches = [&] {
      const NamedRange waiting("wait for batch");
      return s.next_batches(loader);
    }();
    s.step->run(batches, s.config.optimizer.lr);
    s.step->take_losses();
  }
  return profile;
}

}  // namespace gt
