#include "tools/experiment.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

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
#include "tools/text_table.h"

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

// ---- Runs as jobs of Slurm ------------------------------------------------------------------------------------------

/// What a run's job is doing: a state of Slurm's, or of its files.
std::string state_of(const PlannedRun& p, const ExperimentOptions& o, size_t place,
                     const std::map<size_t, std::string>& jobs) {
  if (next_command(p, o).empty()) return "finished";
  if (const auto job = jobs.find(place); job != jobs.end()) {
    if (job->second == "PENDING") return "queued";
    if (job->second == "RUNNING") return "running";
    return job->second;
  }
  return p.done > 0 ? "unfinished" : "not begun";
}

/// The last line of a run's output that is an error; "" if its last line is none.
std::string last_error(const PlannedRun& p) {
  const std::string log = p.folder + "/log.txt";
  if (!path_exists(log)) return "";
  const std::vector<TextLine> lines = read_lines(log);
  return lines.empty() || !lines.back().text.starts_with("gradtrack: ") ? "" : lines.back().text;
}

void print_status(const std::vector<PlannedRun>& plans, const ExperimentOptions& o) {
  const SlurmJobs jobs = submitted_jobs(o.out);
  const std::map<size_t, std::string> states = array_states(jobs.array);
  std::vector<std::vector<std::string>> rows = {{"run", "state", "iterations", "last error"}};
  std::map<std::string, int64_t> counts;
  for (size_t i = 0; i < plans.size(); ++i) {
    const PlannedRun& p = plans[i];
    const std::string state = state_of(p, o, i, states);
    ++counts[state];
    const int64_t done = std::max(p.done, logged_iterations(p.folder + "/metrics.jsonl"));
    rows.push_back({p.name, state, str_cat(done, "/", p.config.train.iterations),
                    state == "unfinished" || state == "not begun" ? last_error(p) : ""});
  }
  if (!jobs.array.empty())
    std::printf("Slurm's jobs: %s, then %s for the tables\n", jobs.array.c_str(), jobs.tables.c_str());
  print_rows(rows);
  std::string summary;
  for (const auto& [state, count] : counts) summary += str_cat(summary.empty() ? "" : ", ", count, " ", state);
  std::printf("%zu runs: %s\n", plans.size(), summary.c_str());
}

/// Submits a job for each run that is not finished. Returns false if all are.
bool submit_runs(const std::vector<PlannedRun>& plans, const ExperimentOptions& o,
                 const std::vector<std::string>& command) {
  const SlurmJobs before = submitted_jobs(o.out);
  if (!array_states(before.array).empty())
    fail(o.out, ": its runs are queued already, as job ", before.array, "; --status shows them, scancel ", before.array,
         " ends them");
  std::vector<size_t> places;
  for (size_t i = 0; i < plans.size(); ++i)
    if (!next_command(plans[i], o).empty()) places.push_back(i);
  if (places.empty()) return false;
  std::vector<std::string> tables = command;
  tables.push_back("--tables");
  const SlurmJobs jobs = submit_jobs(o.out, places, command, tables, plans[0].config.threads, o.slurm);
  std::printf("submitted %zu runs as job %s, and the tables as job %s; output in %s/slurm\n", places.size(),
              jobs.array.c_str(), jobs.tables.c_str(), o.out.c_str());
  std::vector<std::string> status = command;
  status.push_back("--status");
  std::printf("see them with: %s\n", shell_command(status).c_str());
  return true;
}

/// Completes one run.
void complete_run(std::vector<PlannedRun>& plans, const ExperimentOptions& o) {
  if (o.run >= int64_t(plans.size()))
    fail("--run ", o.run, ": expected a number below ", plans.size(), ", the number of runs");
  std::vector<PlannedRun> one = {std::move(plans[size_t(o.run)])};
  std::vector<Job> jobs;
  if (!complete_runs(one, o, jobs)) fail("interrupted; ", one[0].name, " is saved");
  if (!jobs[0].failure.empty()) fail(one[0].name, " failed: ", jobs[0].failure);
}

// ---- Results --------------------------------------------------------------------------------------------------------

/// Jobs without work: those of unfinished runs have failed.
std::vector<Job> collected_jobs(const std::vector<PlannedRun>& plans, const ExperimentOptions& o) {
  std::vector<Job> jobs;
  for (const PlannedRun& p : plans) {
    jobs.push_back({p.name, p.folder + "/log.txt", nullptr});
    if (!next_command(p, o).empty())
      jobs.back().failure = str_cat("stopped after ", p.done, " of ", p.config.train.iterations, " iterations");
  }
  return jobs;
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
  command.add_flag("--status", o.status, "print the state of each run instead of training");
  auto* launcher = command.add_option("--launcher", o.launcher, "who starts the runs: local, or slurm for a job each")
                       ->check(CLI::IsMember({"local", "slurm"}))
                       ->capture_default_str();
  command.add_option("--partition", o.slurm.partition, "Slurm: partition of the jobs")->type_name("P")->needs(launcher);
  command.add_option("--time", o.slurm.time, "Slurm: time of a run's job; a longer run is saved and queued again")
      ->type_name("T")
      ->needs(launcher);
  command.add_option("--gpus-per-run", o.slurm.gpus, "Slurm: GPUs of a run's job")
      ->check(CLI::Range(0, 1024))
      ->type_name("G")
      ->needs(launcher);
  command.add_option("--sbatch", o.slurm.options, "Slurm: one more option of sbatch, such as --sbatch=--account=A")
      ->allow_extra_args(false)
      ->type_name("OPTION")
      ->needs(launcher);
  command.add_option("--run", o.run)->group("");      // for the jobs that Slurm starts
  command.add_flag("--tables", o.tables)->group("");  // likewise
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
  const std::vector<std::string> notes = settings_notes(experiment);
  for (const std::string& note : notes) std::fprintf(stderr, "%s\n", note.c_str());
  if (!notes.empty() && subcommand == "compare")
    std::fprintf(stderr, "--same-settings trains all recipes with the settings of the configuration\n");
  std::vector<PlannedRun> plans = plan_runs(experiment, o);  // refuses folders of other runs before any work
  if (o.status) return print_status(plans, o);
  if (o.run >= 0) return complete_run(plans, o);
  make_folder(o.out);
  const FolderLock lock(o.out, str_cat("gradtrack ", subcommand, " or a command that it started"),
                        FolderLock::Programs::keep);
  std::vector<std::string> with_device = command;
  with_device.insert(with_device.end(), {"--device", o.device});
  if (o.launcher == "slurm" && submit_runs(plans, o, with_device)) return;
  std::vector<Job> jobs;
  if (o.tables)
    jobs = collected_jobs(plans, o);
  else if (!complete_runs(plans, o, jobs))
    fail("interrupted; all runs are saved, continue with: ", shell_command(command));
  Comparison c = collect_results(plans, jobs, experiment, o);
  c.command = shell_command(command);
  const std::string results = o.out + "/compare.json";
  write_file(results, dump_json(comparison_json(c), 1) + "\n");
  print_comparison(c);
  write_page(o.out + "/report.html", comparison_page(c, o.out, choose_device(o.device)), false);
  write_file(o.out + "/scores.csv", comparison_csv(c));
  write_file(o.out + "/table.tex", comparison_latex(c));
  std::printf("written to %s: report.html, compare.json, scores.csv, table.tex%s\n", o.out.c_str(),
              is_folder(o.out + "/figures") ? ", figures/" : "");
  for (const auto& [run, why] : c.left_out)
    std::fprintf(stderr, "warning: %s is left out: %s\n", run.c_str(), why.c_str());
  if (c.failures.empty()) return;
  for (const auto& [run, why] : c.failures) std::fprintf(stderr, "%s failed: %s\n", run.c_str(), why.c_str());
  fail(c.failures.size(), " of ", plans.size(), " runs failed; run the command again to retry them");
}

}  // namespace gt
