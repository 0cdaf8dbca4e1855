// gradtrack simulate
#include "gaze/simulate.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>

#include "core/io.h"
#include "core/parallel.h"
#include "gaze/dataset.h"
#include "tools/commands.h"
#include "tools/outputs.h"

namespace gt {
namespace {

struct Options {
  std::string data, out;
  uint64_t seed = 1;
  bool force = false;
};

/// The samples of all splits that exist, with labels at their original size.
std::vector<Sample> read_masks(const std::string& root) {
  DataOptions data;
  data.root = root;
  std::vector<Sample> samples;
  std::set<std::string> names;
  for (const char* split : {"train", "val", "test"}) {
    if (!path_exists(root + "/" + split + ".txt")) continue;
    Dataset part = load_dataset(data, split, {.labels = true});
    for (Sample& s : part.samples) {
      if (!names.insert(s.name).second) fail(root, "/", split, ".txt: image ", s.name, " is also in another split");
      samples.push_back(std::move(s));
    }
  }
  if (samples.empty()) fail(root, ": expected a list of images: train.txt, val.txt or test.txt");
  return samples;
}

void simulate(const Options& o) {
  Outputs outputs(o.force);
  for (const char* list : {"train.txt", "val.txt", "test.txt"}) outputs.reads(o.data + "/" + list);
  outputs.writes(o.out);
  outputs.check();
  std::vector<std::string> names;
  std::vector<Image> masks;
  for (Sample& s : read_masks(o.data)) {
    names.push_back(s.name);
    masks.push_back(std::move(s.label));
  }
  std::vector<Track> tracks(names.size());
  parallel_for_each(int64_t(names.size()), [&](int64_t at) {
    const size_t i = size_t(at);
    tracks[i] = simulate_track(masks[i], names[i], o.seed);
  });
  write_gaze(o.out, tracks, true);
  std::fputs(statistics_table(gaze_statistics(tracks, masks)).c_str(), stdout);
  std::printf("written: %s: SIMULATED gaze on %zu images\n", o.out.c_str(), names.size());
}

}  // namespace

void add_simulate_command(CLI::App& app) {
  auto* command = app.add_subcommand("simulate", "Simulate physicians' gaze on the masks of a data set");
  auto o = std::make_shared<Options>();
  command->add_option("--data", o->data, "folder of the data set: images/, masks/, train.txt, val.txt, test.txt")
      ->required()
      ->type_name("ROOT");
  command->add_option("--out", o->out, "fixation table to write (CSV)")->required()->type_name("FILE");
  command->add_option("--seed", o->seed, "seed of the random numbers")->capture_default_str();
  add_force_option(*command, o->force);
  command->footer(
      "Writes a fixation table and prints statistics of the simulated gaze. The table is marked as\n"
      "simulated; trained networks, scores and reports carry the mark too. A track depends only on the\n"
      "seed, the name of the image and its mask.\n\n"
      "Example:\n"
      "  gradtrack simulate --data data/kvasir-seg --out data/kvasir-seg/gaze.csv --seed 1");
  command->callback([o] { simulate(*o); });
}

}  // namespace gt
