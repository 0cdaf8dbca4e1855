#include "models/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/autograd.h"
#include "core/io.h"
#include "core/parallel.h"
#include "models/checkpoint.h"
#include "models/recipes.h"
#include "models/training_step.h"

namespace gt {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Writes metrics.jsonl line by line. Each line is passed to the system at once, so a killed run loses none.
class MetricsLog {
 public:
  /// Opens the file for appending. Keeps the lines up to `iteration`; -1 keeps none.
  MetricsLog(const std::string& path, int64_t iteration) : path_(path) {
    std::string lines_to_keep;
    if (iteration >= 0 && std::filesystem::exists(path)) {
      std::istringstream lines(read_file(path));
      for (std::string line; std::getline(lines, line);) {
        const Json entry = Json::parse(line, nullptr, false);
        if (entry.is_object() && entry.value("iteration", int64_t(0)) <= iteration) lines_to_keep += line + "\n";
      }
    }
    write_file(path, lines_to_keep);
    out_.open(path, std::ios::app);
  }

  void add(const Json& entry) {
    out_ << entry.dump() << std::endl;
    if (!out_) fail(path_, ": cannot write: ", std::strerror(errno));
  }

 private:
  std::string path_;
  std::ofstream out_;
};

bool holds_run(const std::string& folder) { return std::filesystem::exists(folder + "/last.safetensors"); }

/// Throws Error if the configuration `saved` of the run in the folder gives other results than `config`.
void require_same_run(const std::string& folder, const Config& saved, const Config& config) {
  const std::string difference = first_difference(result_config(saved), result_config(config));
  if (!difference.empty()) fail(folder, ": holds a run of another configuration: ", difference);
}

/// Reads the last checkpoint of a run. Throws Error if its configuration gives other results than `config`.
SafeTensors read_last(const std::string& folder, const std::string& path, const Config& config) {
  SafeTensors checkpoint = read_checkpoint(path);
  require_same_run(folder, parse_run_config(metadata_entry(checkpoint, "config", path), path + " (its config)"),
                   config);
  return checkpoint;
}

Json counters_of(const SafeTensors& checkpoint, const std::string& path) {
  const Json counters = Json::parse(metadata_entry(checkpoint, "counters", path), nullptr, false);
  if (!counters.is_object()) fail(path, ": expected a JSON object as metadata entry 'counters'");
  return counters;
}

/// Sums of the losses since the last log line.
struct LossSums {
  int64_t count = 0;
  StepLosses sum;

  void add(const StepLosses& losses) {
    ++count;
    sum.total += losses.total;
    sum.terms.resize(losses.terms.size());
    for (size_t i = 0; i < sum.terms.size(); ++i) sum.terms[i] += losses.terms[i];
  }

  StepLosses mean() const {
    StepLosses mean = sum;
    mean.total /= double(count);
    for (double& term : mean.terms) term /= double(count);
    return mean;
  }
};

}  // namespace

struct Trainer::State {
  Config config;
  std::string folder;
  TrainingObserver observer;
  Device device;
  Dataset train, val;
  std::unique_ptr<Model> model;
  std::optional<Optimizer> optimizer;
  std::optional<TrainingStep> step;
  std::optional<MetricsLog> log;
  int64_t done = 0;           // iterations done
  double best_dice = -1;      // of the validations so far
  double seconds_before = 0;  // training time before this run was resumed
  Clock::time_point start = Clock::now();

  std::string file(const char* name) const { return folder + "/" + name; }
  double seconds() const { return seconds_before + seconds_since(start); }

  void load_data() {
    const DataNeeds needs = data_needs(config);
    LoadHooks hooks;
    if (needs.pseudo) {
      hooks.sample = [how = recipe_of(config).pseudo_masks(config), size = config.data.size](Dataset& dataset, size_t i,
                                                                                             const Image& image) {
        add_pseudo_masks(dataset.samples[i], image, size, how);
      };
      hooks.progress = observer.pseudo_masks;
    }
    train = load_dataset(config.data, "train", needs, hooks);
    val = load_dataset(config.data, "val", {.labels = true});
    if (!observer.message) return;
    observer.message(str_cat("data: ", train.samples.size(), " training and ", val.samples.size(), " validation images",
                             train.simulated_gaze ? ", SIMULATED gaze" : ""));
    if (needs.pseudo)
      observer.message(str_cat("pseudo masks: ", train.samples[0].pseudo.size(), " per training image"));
  }

  void open(const std::string& path, bool resume) {
    folder = path;
    require_free_folder(folder, resume);
    const bool resumed = holds_run(folder);
    make_folder(folder);
    if (resumed)
      restore();
    else
      write_file(file("config.yaml"), write_config(config));
    log.emplace(file("metrics.jsonl"), resumed ? done : -1);
    if (!resumed) log->add({{"run", facts()}});
  }

  /// The batches from the next iteration on.
  Loader loader() const {
    return {train, config.data, config.augment, config.maps, config.train.batch, uint64_t(config.seed), done};
  }

  /// The gaze that this run is trained on: none, simulated or recorded.
  const char* gaze_source() const {
    return !data_needs(config).gaze ? "none" : train.simulated_gaze ? "simulated" : "recorded";
  }

  Json facts() const {
    return {{"recipe", config.recipe},
            {"parameters", model->parameters().count()},
            {"train_images", train.samples.size()},
            {"val_images", val.samples.size()},
            {"gaze", gaze_source()},
            {"device", to_string(device)},
            {"threads", num_threads()},
            {"version", GT_VERSION}};
  }

  void restore() {
    const std::string path = file("last.safetensors");
    const SafeTensors checkpoint = read_last(folder, path, config);
    model->parameters().load(checkpoint, path);
    const Json counters = counters_of(checkpoint, path);
    done = counters.value("iteration", int64_t(0));
    best_dice = counters.value("best_dice", -1.0);
    seconds_before = counters.value("seconds", 0.0);
    optimizer->restore(checkpoint, done, path);
    if (observer.message) observer.message(str_cat("resuming after iteration ", done));
  }

  void save() {
    const Json counters = {{"iteration", done}, {"best_dice", best_dice}, {"seconds", seconds()}};
    SafeTensors checkpoint = make_checkpoint(*model, config, gaze_source(), {{"counters", counters.dump()}});
    for (auto& entry : optimizer->state()) checkpoint.tensors.push_back(std::move(entry));
    write_safetensors(file("last.safetensors"), checkpoint);
  }

  /// The largest number of fixations that a batch can have.
  int64_t max_fixations() const {
    std::vector<int64_t> counts;
    for (const Sample& sample : train.samples) counts.push_back(int64_t(sample.track.fixations.size()));
    std::sort(counts.rbegin(), counts.rend());
    int64_t max = 0;
    for (int64_t i = 0; i < config.train.batch; ++i) max += counts[size_t(i) % counts.size()];
    return max;
  }

  void put_losses(const StepLosses& losses, TrainReport& report) const {
    const std::vector<std::string> names = model->loss_terms();
    report.total = losses.total;
    report.terms.clear();
    for (size_t i = 0; i < names.size(); ++i) report.terms.emplace_back(names[i], losses.terms[i]);
  }

  /// Adds the losses that are known now to the sums, and writes the latest into the report.
  void take_losses(LossSums& sums, TrainReport& report) {
    int64_t iteration = done - step->pending();
    for (const StepLosses& losses : step->take_losses()) {
      ++iteration;
      if (!std::isfinite(losses.total))
        fail("iteration ", iteration, ": the loss is not finite; try a smaller optimizer.lr (now ", config.optimizer.lr,
             ")");
      sums.add(losses);
      put_losses(losses, report);
    }
  }

  void write(const TrainReport& r) {
    Json terms = Json::object();
    for (const auto& [name, value] : r.terms) terms[name] = value;
    log->add({{"iteration", r.iteration},
              {"lr", r.lr},
              {"loss", r.total},
              {"terms", terms},
              {"images_per_s", r.images_per_second},
              {"seconds", seconds()}});
    if (observer.log) observer.log(r);
  }

  void validate() {
    const std::vector<ImageScores> scores = evaluate_model(*model, val, config.train.batch);
    Json means;
    for (const Metric& m : metric_table()) means[m.key] = summarize_scores(scores, m).mean;
    log->add({{"iteration", done}, {"val", means}, {"seconds", seconds()}});
    ValidationReport report{done, means["dice"], means["iou"], means["dice"] > best_dice};
    if (report.best) {
      best_dice = report.dice;
      const Json facts = {{"iteration", done}, {"val_dice", best_dice}};
      write_safetensors(file("best.safetensors"),
                        make_checkpoint(*model, config, gaze_source(), {{"best", facts.dump()}}));
    }
    if (observer.validation) observer.validation(report);
  }
};

void require_free_folder(const std::string& folder, bool resume) {
  if (holds_run(folder) && !resume)
    fail(folder, ": holds a run already; resume it with --resume, or set another folder with --out");
}

void require_precision(const Config& config, Device device) {
  if (config.precision != "f32" && device == Device::cpu)
    fail("precision '", config.precision, "': expected f32 on the CPU; f32, tf32 and bf16 are for device cuda");
}

Trainer::Trainer(const Config& config, TrainingObserver observer, Device device) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.config = config;
  s.observer = std::move(observer);
  s.device = device;
  require_precision(config, device);
  set_num_threads(int(config.threads));
  if (s.observer.message) s.observer.message(str_cat("device ", device, ", ", num_threads(), " threads"));
  s.load_data();
  s.model = make_model(config, DType::f32, device);
  s.optimizer.emplace(config.optimizer, s.model->parameters());
  s.step.emplace(*s.model, *s.optimizer, config, s.max_fixations(), config.train.log_every);
}

Trainer::~Trainer() = default;

bool Trainer::run(const std::string& folder, bool resume) {
  State& s = *state_;
  const TrainOptions& t = s.config.train;
  s.open(folder, resume);
  if (s.done == 0) s.validate();  // the scores of the untrained network
  Loader loader = s.loader();
  LossSums sums;
  Clock::time_point window = Clock::now();
  TrainReport report;
  report.iterations = t.iterations;
  for (int64_t since = 1; s.done < t.iterations; ++since) {
    report.lr = cosine_lr(s.config.optimizer, s.done, t.iterations, t.batch, int64_t(s.train.samples.size()));
    s.step->run(loader.next(), report.lr);
    report.iteration = ++s.done;
    const bool last = s.done == t.iterations, log = s.done % t.log_every == 0 || last;
    if (log || s.device == Device::cpu) s.take_losses(sums, report);  // waits for a GPU
    report.images_per_second = double(since * t.batch) / seconds_since(window);
    if (s.observer.iteration) s.observer.iteration(report);
    if (!log) continue;

    s.put_losses(sums.mean(), report);
    s.write(report);
    const bool stop = s.observer.stop && s.observer.stop();
    if (s.done % t.val_every == 0 || last) s.validate();
    if (s.done % t.checkpoint_every == 0 || last || stop) s.save();
    if (stop && !last) return false;
    sums = {};
    since = 0;
    window = Clock::now();
  }
  return true;
}

int64_t saved_iterations(const std::string& folder, const Config& config) {
  const std::string checkpoint = folder + "/last.safetensors", yaml = folder + "/config.yaml";
  if (std::filesystem::exists(checkpoint))
    return counters_of(read_last(folder, checkpoint, config), checkpoint).value("iteration", int64_t(0));
  if (std::filesystem::exists(yaml)) require_same_run(folder, load_config(yaml), config);
  return 0;
}

std::unique_ptr<Profile> Trainer::profile(int64_t warm_up, int64_t iterations) {
  State& s = *state_;
  Loader loader = s.loader();
  std::unique_ptr<Profile> profile;
  TrainReport report;
  report.iterations = warm_up + iterations;
  for (; report.iteration < report.iterations; ++report.iteration) {
    if (s.observer.iteration) s.observer.iteration(report);
    if (report.iteration == warm_up) profile = std::make_unique<Profile>();
    const NamedRange range("step");
    const Batch batch = [&] {
      const NamedRange waiting("wait for batch");
      return loader.next();
    }();
    s.step->run(batch, s.config.optimizer.lr);
    s.step->take_losses();
  }
  return profile;
}

}  // namespace gt
