#include "tools/experiment.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/folder_lock.h"
#include "core/io.h"
#include "core/parallel.h"
#include "core/text.h"
#include "models/run_log.h"
#include "models/trainer.h"
#include "tools/comparison.h"
#include "tools/jobs.h"
#include "tools/outputs.h"
#include "tools/progress.h"
#include "tools/run_config.h"
#include "tools/shell.h"

namespace gt {
namespace {

namespace fs = std::filesystem;

/// A run that the experiment needs.
struct PlannedRun {
  size_t arm;
  int64_t seed;
  Config config;
  std::string name, folder;
  std::vector<std::string> train;  // arguments of the command that trains it
  int64_t done = 0;                // iterations in its log
};

std::vector<PlannedRun> plan_runs(const Experiment& experiment, const ExperimentOptions& o) {
  std::vector<PlannedRun> plans;
  for (int64_t seed = 1; seed <= o.seeds;
       ++seed)  // in the order of seeds, so that an interrupted experiment can be compared
    for (size_t i = 0; i < experiment.arms.size(); ++i) {
      const Arm& arm = experiment.arms[i];
      PlannedRun p{i, seed, arm.config, str_cat(arm.name, "/seed", seed), str_cat(o.out, "/", arm.name, "/seed", seed),
                   {}};
      p.config.seed = seed;
      p.train = {"train", o.base.path};
      for (const auto* words : {&o.base.overrides, &arm.overrides})
        p.train.insert(p.train.end(), words->begin(), words->end());
      p.train.insert(p.train.end(), {str_cat("seed=", seed), "--out", p.folder, "--resume", "--device", o.device});
      p.done = saved_progress(p.folder, p.config).iteration;
      plans.push_back(std::move(p));
    }
  return plans;
}

bool is_newer(const std::string& file, const std::string& than) {
  std::error_code error;
  return path_exists(file) && fs::last_write_time(file, error) >= fs::last_write_time(than, error) && !error;
}

/// Whether the run has an evaluation of this split of its data that is newer than its best checkpoint.
bool evaluated(const PlannedRun& p, const std::string& split) {
  const std::string path = evaluation_path(p.folder, split);
  return !path.empty() && is_newer(path, p.folder + "/best.safetensors") &&
         read_run(p.folder, split).eval.value("data", Json()) == printable(p.config.data.root);
}

/// The next command for a run, as arguments of this program. Empty if the run is complete.
std::vector<std::string> next_command(const PlannedRun& p, const ExperimentOptions& o) {
  const int64_t threads = p.config.threads > 0 ? p.config.threads : std::max<int64_t>(1, num_threads() / o.jobs);
  if (!saved_progress(p.folder, p.config).finished) {
    std::vector<std::string> command = p.train;
    if (o.jobs > 1) command.push_back(str_cat("threads=", threads));
    return command;
  }
  if (!evaluated(p, o.split))
    return {"eval", p.folder, "--split", o.split, "--device", o.device, "--threads", str_cat(threads)};
  if (!is_newer(p.folder + "/report.html", evaluation_path(p.folder, o.split)))
    return {"report", p.folder, "--split", o.split};
  return {};
}

/// Trains and evaluates all runs. Returns false if it was interrupted.
bool complete_runs(std::vector<PlannedRun>& plans, const ExperimentOptions& o, std::vector<Job>& jobs) {
  int64_t all = 0, done = 0;
  for (const PlannedRun& p : plans) {
    make_folder(p.folder);
    jobs.push_back({p.name, p.folder + "/log.txt", [&] { return next_command(p, o); }});
    all += p.config.train.iterations;
    done += p.done;
  }
  ProgressBar bar(str_cat(plans.size(), " runs"), all, done);
  int64_t seconds = 0;  // calls of observer.progress, about one per second
  JobObserver observer;
  observer.note = [&](const std::string& line) { bar.line(line); };
  observer.progress = [&](const std::vector<const Job*>& running) {
    std::string detail;
    for (const Job* job : running) {
      PlannedRun& p = plans[size_t(job - jobs.data())];
      p.done = std::max(p.done, logged_iterations(p.folder + "/metrics.jsonl"));
      detail += str_cat(detail.empty() ? "" : ", ", p.name, " ", p.done, "/", p.config.train.iterations);
    }
    int64_t sum = 0;
    for (const PlannedRun& p : plans) sum += p.done;
    bar.update(sum, detail);
    if (!bar.on_terminal() && ++seconds % 60 == 0)
      bar.line(str_cat(sum, "/", all, "  left ", bar.left(sum), "  ", detail));
  };
  return run_jobs(jobs, o.jobs, observer);
}

/// Whether no validation was better than that of the untrained network.
bool best_is_untrained(const Run& run) {
  if (run.fact("select") == "last") return false;
  const auto best = std::max_element(run.dice.y.begin(), run.dice.y.end());
  return best == run.dice.y.begin() && run.dice.y.size() > 1 && run.dice.x[0] == 0;
}

Comparison collect_results(const std::vector<PlannedRun>& plans, const std::vector<Job>& jobs,
                           const Experiment& experiment, const ExperimentOptions& o) {
  Comparison c{"", experiment, o.split, o.seeds, std::vector<std::vector<SeedRun>>(experiment.arms.size()), {}, {}, {}};
  for (size_t i = 0; i < plans.size(); ++i) {
    if (jobs[i].failure.empty()) {
      SeedRun run{plans[i].seed, shell_command(plans[i].train), read_run(plans[i].folder, o.split)};
      if (best_is_untrained(run.run))
        c.left_out.emplace_back(plans[i].name, "its best checkpoint is the untrained network");
      else
        c.runs[plans[i].arm].push_back(std::move(run));
    } else {
      c.failures.emplace_back(plans[i].name, str_cat(jobs[i].failure, " (", jobs[i].log, ")"));
    }
  }
  require_same_images(c);
  c.differences = compute_differences(c);
  return c;
}

}  // namespace

void add_variant_options(CLI::App& command, VariantOptions& o, bool required) {
  auto* what = command.add_option_group(
      "Variants", required ? "give at least one of these options; each can be repeated" : "each can be repeated");
  if (required) what->require_option(1, 0);
  what->add_option("--axis", o.axes, "a key and the values to try for it")
      ->allow_extra_args(false)
      ->type_name("KEY=v1,v2,...");
  what->add_option("--arm", o.arms, "a named variant that sets several keys")
      ->allow_extra_args(false)
      ->type_name("'NAME: KEY=VALUE ...'");
  command.add_flag("--grid", o.grid, "try every combination of the axes' values instead of one axis at a time");
}

Experiment experiment_of(const BaseConfig& base, const VariantOptions& o) {
  std::vector<ConfigAxis> axes;
  for (const std::string& word : o.axes) axes.push_back(parse_axis(word));
  std::vector<ConfigVariant> variants;
  for (const std::string& word : o.arms) variants.push_back(parse_variant(word));
  return compare_variants(base, axes, o.grid, variants);
}

void add_experiment_options(CLI::App& command, ExperimentOptions& o) {
  command.add_option("config", o.base.path, "YAML configuration, see configs/")->required()->type_name("CONFIG.yaml");
  command.add_option("overrides", o.base.overrides, "keys that override the file in every run")
      ->type_name("key=value ...");
  command.add_option("--seeds", o.seeds, "number of runs of each arm, with the seeds 1 .. N")
      ->check(CLI::Range(1, 1000))
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--jobs", o.jobs, "number of runs at once; they share the processors")
      ->check(CLI::Range(1, 1024))
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--out", o.out,
                  str_cat("output folder (default runs/", command.get_name(), "-<name of the configuration>)"))
      ->type_name("DIR");
  command.add_option("--split", o.split, "images to evaluate, listed in ROOT/SPLIT.txt")->capture_default_str();
  command.add_option("--device", o.device, "device: auto, cpu or cuda")->capture_default_str();
}

void run_experiment(const Experiment& experiment, ExperimentOptions o, const std::string& subcommand,
                    const std::vector<std::string>& arguments) {
  if (o.out.empty()) o.out = "runs/" + subcommand + "-" + fs::path(o.base.path).stem().string();
  std::vector<std::string> command = {subcommand, o.base.path};
  command.insert(command.end(), o.base.overrides.begin(), o.base.overrides.end());
  command.insert(command.end(), arguments.begin(), arguments.end());
  command.insert(command.end(), {"--seeds", str_cat(o.seeds), "--split", o.split, "--out", o.out});

  for (const Arm& arm : experiment.arms) {  // prints warnings of renamed keys
    std::vector<std::string> overrides = o.base.overrides;
    overrides.insert(overrides.end(), arm.overrides.begin(), arm.overrides.end());
    load_config_with_warnings(o.base.path, overrides);
  }
  make_folder(o.out);
  const FolderLock lock(o.out, str_cat("gradtrack ", subcommand, " or a command that it started"),
                        FolderLock::Programs::keep);
  std::vector<PlannedRun> plans = plan_runs(experiment, o);  // refuses folders of other runs before any work
  std::vector<Job> jobs;
  if (!complete_runs(plans, o, jobs)) fail("interrupted; all runs are saved, continue with: ", shell_command(command));
  Comparison c = collect_results(plans, jobs, experiment, o);
  c.command = shell_command(command);
  const std::string results = o.out + "/compare.json";
  write_file(results, dump_json(comparison_json(c), 1) + "\n");
  print_comparison(c);
  write_page(o.out + "/report.html", comparison_page(c, o.out, choose_device(o.device)), false);
  write_file(o.out + "/scores.csv", comparison_csv(c));
  write_file(o.out + "/table.tex", comparison_latex(c));
  std::printf("written to %s: report.html, compare.json, scores.csv, table.tex\n", o.out.c_str());
  for (const auto& [run, why] : c.left_out)
    std::fprintf(stderr, "warning: %s is left out: %s\n", run.c_str(), why.c_str());
  if (c.failures.empty()) return;
  for (const auto& [run, why] : c.failures) std::fprintf(stderr, "%s failed: %s\n", run.c_str(), why.c_str());
  fail(c.failures.size(), " of ", plans.size(), " runs failed; run the command again to retry them");
}

}  // namespace gt
