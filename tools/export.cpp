// gradtrack export
#include <cstdio>

#include "core/io.h"
#include "models/onnx.h"
#include "models/trainer.h"
#include "tools/commands.h"
#include "tools/outputs.h"

namespace gt {
namespace {

struct Options {
  std::string model, out;
  bool force = false;
};

void export_network(const Options& o) {
  if (!o.out.ends_with(".onnx")) fail(o.out, ": expected a file name that ends in .onnx");
  const LoadedModel loaded = load_model(o.model);
  Outputs outputs(o.force);
  outputs.reads(loaded.path);
  outputs.writes(o.out);
  outputs.check();
  const std::string file = onnx_file(loaded);
  make_parent_folder(o.out);
  write_file(o.out, file);
  if (loaded.gaze == "simulated") std::printf("The network was trained on SIMULATED gaze.\n");
  if (loaded.config.train.select == "test") std::printf("%s\n", selected_on_test);
  std::printf("recipe %s, images of %lld x %lld x %lld -> %s (%.1f MB)\n", loaded.config.recipe.c_str(),
              (long long)loaded.config.data.channels, (long long)loaded.config.data.size,
              (long long)loaded.config.data.size, o.out.c_str(), 1e-6 * double(file.size()));
}

}  // namespace

void add_export_command(CLI::App& app) {
  auto* command = app.add_subcommand("export", "Write a trained network as ONNX, for other programs");
  auto o = std::make_shared<Options>();
  command->add_option("model", o->model, "folder of a run, whose best.safetensors is used, or a checkpoint file")
      ->required()
      ->type_name("CHECKPOINT");
  command->add_option("out", o->out, "file to write")->required()->type_name("FILE.onnx");
  add_force_option(*command, o->force);
  command->footer(
      "Writes the network for inference (opset 17, f32). S is data.size, C data.channels.\n"
      "  image          (batch,C,S,S) input: the image resized to S x S, values in [0,1]. The graph normalises it.\n"
      "  logits         (batch,1,S,S)\n"
      "  probability    (batch,1,S,S) of foreground\n"
      "  attention_1..4 (batch,1,H,W) attention maps, coarsest first, with recipe gradtrack\n"
      "Metadata of the file name recipe, gaze, size, channels and version, and a warning if the network was\n"
      "chosen by its scores on the test split. docs/data.md shows how to run it in Python.\n\n"
      "Example:\n"
      "  gradtrack export runs/demo runs/demo.onnx");
  command->callback([o] { export_network(*o); });
}

}  // namespace gt
