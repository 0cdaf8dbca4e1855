// gradtrack synth
#include "gaze/synth.h"

#include <cstdio>
#include <memory>

#include "tools/commands.h"

namespace gt {
namespace {

struct Options {
  std::string out;
  int64_t count = 0, size = 128;
  uint64_t seed = 1;
};

}  // namespace

void add_synth_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("synth", "Make a data set of synthetic, endoscopy-like images with simulated gaze");
  auto o = std::make_shared<Options>();
  command->add_option("--out", o->out, "folder of the data set; must not contain a data set")
      ->required()
      ->type_name("DIR");
  command->add_option("--count", o->count, "number of images: 70 % for training, 10 % for validation, 20 % for test")
      ->required()
      ->check(CLI::Range(int64_t(3), int64_t(1000000)));
  command->add_option("--size", o->size, "side of the square images, pixels")
      ->check(CLI::Range(16, 4096))
      ->capture_default_str();
  command->add_option("--seed", o->seed, "seed of the random numbers")->capture_default_str();
  command->footer(
      "Writes images/, masks/, train.txt, val.txt, test.txt and gaze.csv. A seed always gives one data set.\n\n"
      "Example:\n  gradtrack synth --out data/synth --count 200 --size 128 --seed 1");
  command->callback([o] {
    write_synthetic_dataset(o->out, o->count, o->size, o->seed);
    std::printf("written: %s: %lld synthetic images with masks and SIMULATED gaze\n", o->out.c_str(),
                static_cast<long long>(o->count));
  });
}

}  // namespace gt
