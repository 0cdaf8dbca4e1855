#include "tools/gradcheck_rows.h"

#include <algorithm>
#include <memory>

#include "core/autograd.h"
#include "models/recipes.h"

namespace gt {
namespace {

// ---- Ops ------------------------------------------------------------------------------------------------------------

GradCheck check_op(const OpCase& c, Device device, GradCheckOptions options) {
  if (options.steps.empty())
    options.steps = options.directional ? std::vector{1e-4, 1e-5, 1e-6} : std::vector{1e-4, 1e-3};
  options.max_elements = device == Device::cpu ? 200 : 10;  // the check on the CPU is thorough
  GradCheck all;
  for (const Sizes& sizes : c.sizes) all.add(check_gradients(c, sizes, device, options));
  return all;
}

NamedTensors gradients_of_op(const OpCase& c, Device device, uint64_t seed) {
  NamedTensors named;
  for (const Sizes& sizes : c.sizes) {
    const Tensors inputs = inputs_of(c, sizes, DType::f64, device, seed);
    for (const auto& [k, gradient] : input_gradients(c.op, inputs, projection_of(c, seed)))
      named.emplace_back(str_cat(c.name, " ", Shape(sizes), " input ", k), gradient.to(Device::cpu));
  }
  return named;
}

// ---- Networks -------------------------------------------------------------------------------------------------------

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

Config tiny_network(const NetworkCase& c, uint64_t seed) {
  Config config = parse_run_config(c.keys, c.name);
  config.seed += int64_t(seed);
  config.data.size = 32;
  config.model.features = {4, 4, 8, 8, 8, 4};
  config.model.groups = 2;
  config.model.slope = 0.1;
  config.loss.lambda = {1, 1, 1, 1};
  return config;
}

/// A network with the batch that its loss is computed on.
struct Network {
  std::unique_ptr<Model> model;
  SupervisedBatch batch;

  Network(const NetworkCase& c, Device device, uint64_t seed) {
    const Config config = tiny_network(c, seed);
    model = make_model(config, DType::f64, device);
    Random random(seed << 8 | 3);
    Track track{"tiny", {}, 0, 0};
    for (int i = 0; i < 6; ++i)
      track.fixations.push_back({random.uniform(0.2, 0.8), random.uniform(0.2, 0.8), random.uniform(100, 400), 0});
    Maker maker{DType::f64, random};
    batch.images = maker.normal({2, 32, 32, 3}).to(device);
    const DataNeeds needs = data_needs(config);
    if (needs.masks) batch.masks = greater(sum_last(batch.images), 0);
    if (config.recipe == "gazemedseg")
      for (const double threshold : config.pseudo.thresholds)
        batch.pseudo.push_back(greater(sum_last(batch.images), threshold));
    batch.tracks = to_device(pack_tracks({&track, &track}, config.maps, DType::f64), device);
  }

  Tensor loss() const { return model->losses(batch).total(); }
};

/// Checks the gradients of a whole loss, including the gaze maps, for the parameters of a tiny network.
GradCheck check_network(const NetworkCase& c, Device device, GradCheckOptions options) {
  const Network network(c, device, options.seed);
  if (options.steps.empty())
    options.steps =
        options.directional ? std::vector{3e-6, 1e-6, 3e-7, 1e-7} : std::vector{1e-4, 3e-5, 1e-5, 3e-6, 1e-6};
  options.max_elements = device == Device::cpu ? 6 : 2;
  const auto loss = [&](const Tensors&) { return Tensors{network.loss()}; };
  return check_gradients(loss, network.model->parameters().tensors(), Random(options.seed << 8 | 4), options);
}

NamedTensors gradients_of_network(const NetworkCase& c, Device device, uint64_t seed) {
  const Network network(c, device, seed);
  backward(network.loss());
  NamedTensors named;
  for (const auto& [name, parameter] : network.model->parameters().named())
    if (parameter.grad().defined()) named.emplace_back(str_cat(c.name, " ", name), parameter.grad().to(Device::cpu));
  return named;
}

}  // namespace

std::vector<GradCheckRow> gradcheck_rows(Device device) {
  std::vector<GradCheckRow> rows;
  for (const OpCase& c : op_cases())
    rows.push_back({c.name, c.sizes.size(), [c, device](const GradCheckOptions& o) { return check_op(c, device, o); },
                    [c, device](uint64_t seed) { return gradients_of_op(c, device, seed); }});
  for (const NetworkCase& c : network_cases)
    rows.push_back({c.name, 1, [c, device](const GradCheckOptions& o) { return check_network(c, device, o); },
                    [c, device](uint64_t seed) { return gradients_of_network(c, device, seed); }});
  return rows;
}

}  // namespace gt
