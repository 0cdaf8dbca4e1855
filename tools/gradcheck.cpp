// gradtrack gradcheck
#include <cstdio>
#include <sstream>

#include "kernels/cases/check_op.h"
#include "models/recipes.h"
#include "tools/commands.h"

namespace gt {
namespace {

constexpr double limit = 1e-6;  // largest relative error of a gradient that passes

/// A whole loss that is checked: its keys, which tiny_network() completes. GazeMedSeg's consistency is left out: its
/// targets get no gradient on purpose, which differences do not know.
struct NetworkCase {
  const char *name, *keys;
};
constexpr NetworkCase network_cases[] = {
    {"network gradtrack", "{recipe: gradtrack}"},
    {"network gazemedseg", "{recipe: gazemedseg, loss: {consistency_weight: 0}}"},
    {"network full", "{recipe: full}"},
    {"network, target pseudo", "{attention: {target: pseudo}}"},
    {"network, coarser added", "{attention: {coarser: added}}"},
    {"network, use gate", "{attention: {use: gate, groups: 2}}"},
    {"network, use skip", "{attention: {use: skip, groups: 2, coarser: added}}"},
    {"network, use none", "{attention: {use: none}}"},
    {"network, agreement 0.2", "{attention: {agreement: 0.2}}"},
};

Config tiny_network(const NetworkCase& c) {
  Config config = parse_run_config(c.keys, c.name);
  config.data.size = 32;
  config.model = {.features = {4, 4, 8, 8, 8, 4}, .groups = 2, .slope = 0.1};
  config.loss.lambda = {1, 1, 1, 1};
  return config;
}

/// Checks the gradients of a whole loss, including the gaze maps, for the parameters of a tiny network.
GradCheck check_network(const NetworkCase& c, Device device) {
  const Config config = tiny_network(c);
  const std::unique_ptr<Model> model = make_model(config, DType::f64, device);
  Random random(3);
  Track track{"tiny", {}, 0, 0};
  for (int i = 0; i < 6; ++i)
    track.fixations.push_back({random.uniform(0.2, 0.8), random.uniform(0.2, 0.8), random.uniform(100, 400), 0});
  Maker maker{DType::f64, random};
  SupervisedBatch batch;
  batch.images = maker.normal({2, 32, 32, 3}).to(device);
  const DataNeeds needs = data_needs(config);
  if (needs.masks) batch.masks = greater(sum_last(batch.images), 0);
  if (config.recipe == "gazemedseg")
    for (const double threshold : config.pseudo.thresholds)
      batch.pseudo.push_back(greater(sum_last(batch.images), threshold));
  batch.tracks = to_device(pack_tracks({&track, &track}, config.maps, DType::f64), device);
  const auto loss = [&](const Tensors&) { return Tensors{model->losses(batch).total()}; };
  const int64_t max_elements = device == Device::cpu ? 6 : 2;
  return check_gradients(loss, model->parameters().tensors(), Random(4), max_elements, {1e-4, 3e-5, 1e-5, 3e-6, 1e-6});
}

void gradcheck(const std::string& filter, Device device) {
  const auto cases = op_cases();
  const int64_t max_elements = device == Device::cpu ? 200 : 10;  // per input; the check on the CPU is thorough
  size_t shown = 0, failed = 0;
  std::vector<std::string> names;
  const auto row = [&](const std::string& name, size_t sizes, const GradCheck& worst) {
    const bool ok = worst.worst < limit;
    ++shown;
    failed += !ok;
    std::printf("%-28s %6zu   %9.2e   %s\n", name.c_str(), sizes, worst.worst,
                ok ? "ok" : ("FAILED at " + worst.where).c_str());
    std::fflush(stdout);
  };
  std::printf("%-28s %6s   %9s   limit %.0e, in double, on %s\n", "op", "sizes", "worst", limit, to_string(device));
  for (const OpCase& c : cases) {
    names.push_back(c.name);
    std::istringstream words(c.name);  // "track" and "attention" of "track_attention" are near misses too
    for (std::string word; std::getline(words, word, '_');) names.push_back(word);
    if (!filter.empty() && c.name.find(filter) == std::string::npos) continue;
    GradCheck worst;
    for (const Sizes& sizes : c.sizes)
      if (const GradCheck result = check_gradients(c, sizes, device, max_elements); !(result.worst <= worst.worst))
        worst = result;
    row(c.name, c.sizes.size(), worst);
  }
  for (const NetworkCase& c : network_cases) {
    names.push_back(c.name);
    if (filter.empty() || std::string(c.name).find(filter) != std::string::npos)
      row(c.name, 1, check_network(c, device));
  }
  names.push_back("network");
  if (shown == 0) {
    const std::string near = nearest_word(filter, names);
    fail("--op ", filter, ": expected a part of an op's name or 'network', found no such op",
         near.empty() ? "" : ", did you mean '" + near + "'?");
  }
  std::printf("%zu checked, %zu failed\n", shown, failed);
  if (failed > 0) fail(failed, " of ", shown, " gradients differ from finite differences by more than ", limit);
}

}  // namespace

void add_gradcheck_command(CLI::App& app) {
  auto* command = app.add_subcommand("gradcheck", "Compare the gradient of every op with finite differences");
  auto op = std::make_shared<std::string>();
  command->add_option("--op", *op, "check only rows whose name contains this; 'network' checks whole losses")
      ->type_name("NAME");
  command->footer(
      "Computes each gradient in double at several sizes and prints the largest relative error. Fails if\n"
      "one is above the limit.\n\n"
      "Example:\n"
      "  gradtrack gradcheck --op splat");
  auto device = std::make_shared<std::string>("cpu");
  command->add_option("--device", *device, "device: auto, cpu or cuda")->capture_default_str();
  command->callback([=] { gradcheck(*op, choose_device(*device)); });
}

}  // namespace gt
