// gradtrack pack
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/check.h"
#include "core/parallel.h"
#include "models/data_cache.h"
#include "tools/commands.h"
#include "tools/progress.h"
#include "tools/run_config.h"
#include "tools/signals.h"
#include "tools/text_table.h"

namespace gt {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
};

/// Opens a split, and makes it if need be. Returns a row of the table.
std::vector<std::string> pack_split(const DataCache& cache, const RunSplit& split) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  std::unique_ptr<SampleSource> samples = cache.open_packed(split).samples;
  const bool there = samples != nullptr;
  if (!there) samples = cache.pack(split);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const std::string path = cache.path(split);
  std::error_code none;
  const auto bytes = std::filesystem::file_size(path, none);
  return {split.name,
          std::to_string(samples->size()),
          number_text(double(bytes) / 1e6, 1),
          there ? "there" : "made",
          number_text(seconds, 1),
          path};
}

void pack(const Options& o) {
  const Config config = load_config_with_warnings(o.config, o.overrides);
  if (config.data.cache == "off") fail("data.cache is off: expected auto or a folder");
  set_num_threads(int(config.threads));
  check_splits(config.data);
  const StopSignals signals;
  std::unique_ptr<ProgressBar> bar;
  DataCache::Hooks hooks;
  hooks.message = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  hooks.warn = hooks.message;
  hooks.pseudo_masks = [&bar](int64_t done, int64_t all) {
    if (!bar) bar = std::make_unique<ProgressBar>("pseudo masks", all);
    bar->update(done, "images");
    if (done == all) bar.reset();
  };
  hooks.check = [] {
    if (StopSignals::asked()) fail("interrupted; files that are complete stay");
  };
  const DataCache cache(config, hooks);
  std::vector<std::vector<std::string>> rows = {{"split", "images", "MB", "", "s", "file"}};
  for (const RunSplit& split : splits_of_run(config)) rows.push_back(pack_split(cache, split));
  print_rows(rows);
}

}  // namespace

void add_pack_command(CLI::App& app) {
  auto* command = app.add_subcommand("pack", "Prepare a data set's images and pseudo masks in files for trainings");
  auto o = std::make_shared<Options>();
  command->add_option("config", o->config, "YAML configuration, see configs/")->required()->type_name("CONFIG.yaml");
  command->add_option("overrides", o->overrides, "keys that override the file, e.g. data.cache=/scratch/packs")
      ->type_name("key=value ...");
  command->footer(
      "Writes a file for each split that a training reads: resized images and masks, labels, tracks, pseudo masks.\n"
      "Trainings with the same data map it into memory, so all on one machine share one copy, and none decodes\n"
      "images or refines pseudo masks again. A training alone does this by itself. Use `pack` before several\n"
      "processes train (mpirun, srun), and for data sets larger than memory.\n"
      "Files are in the folder data.cache: auto is $XDG_CACHE_HOME/gradtrack or ~/.cache/gradtrack, where the\n"
      "longest unused ones are removed above 16 GiB; a folder that is named is left alone. A file is made again if\n"
      "an image, a mask, a list, the gaze, the program or an option has changed.\n\n"
      "Example:\n  gradtrack pack configs/demo.yaml");
  command->callback([o] { pack(*o); });
}

}  // namespace gt
