#include "models/plan.h"

#include <cstring>
#include <optional>

#include "core/dry_run.h"
#include "models/recipes.h"
#include "models/trainer.h"
#include "models/training_step.h"

namespace gt {
namespace {

/// A data set of one batch of blank images, with the supervision that the recipe needs.
Dataset blank_dataset(const Config& config, int64_t fixations) {
  const int64_t side = config.data.size;
  const DataNeeds needs = data_needs(config);
  Dataset dataset;
  for (int64_t i = 0; i < config.train.batch; ++i) {
    Sample sample;
    sample.name = std::to_string(i);
    sample.image = Image(side, side, config.data.channels);
    sample.normalisation = normalisation_of(sample.image, config.data);
    if (needs.masks) sample.mask = Image(side, side, 1);
    if (needs.pseudo) sample.pseudo.assign(recipe_of(config).pseudo_thresholds(config).size(), Image(side, side, 1));
    for (int64_t k = 0; needs.gaze && k < fixations; ++k) {
      const double place = (double(k) + 0.5) / double(fixations);
      sample.track.fixations.push_back({place, place, 300, 300.0 * double(k)});
    }
    dataset.samples.push_back(std::move(sample));
  }
  return dataset;
}

std::vector<Batch> first_batches(const Config& config, int64_t fixations) {
  const Dataset dataset = blank_dataset(config, fixations);
  Loader loader(dataset, config.data, config.augment, config.maps, config.train.batch, uint64_t(config.seed), 0,
                {.accumulated = config.train.accumulate});
  std::vector<Batch> batches;
  for (int64_t k = 0; k < config.train.accumulate; ++k) batches.push_back(loader.next());
  return batches;
}

StepPlan run_step(Config config, Device device, int64_t fixations, bool dry) {
  require_precision(config, device);
  config.train.cuda_graph = false;  // a replayed graph has no ranges of ops
  StepPlan plan;
  plan.bytes_before = live_bytes(device);
  const std::vector<Batch> batches = first_batches(config, fixations);
  std::optional<DryRun> dry_run;
  if (dry) dry_run.emplace();
  const int64_t start = live_bytes(device);
  const std::unique_ptr<Model> model = make_model(config, DType::f32, device);
  plan.parameters = live_bytes(device) - start;
  Optimizer optimizer(config.optimizer, model->parameters());
  std::unique_ptr<Model> averaged;
  std::optional<WeightAverage> average;
  if (config.train.ema > 0) {
    averaged = make_model(config, DType::f32, device);
    average.emplace(config.train.ema, model->parameters(), averaged->parameters());
  }
  plan.optimizer = live_bytes(device) - start - plan.parameters;
  TrainingStep step(*model, optimizer, config, fixations * config.train.batch, 1);
  if (average) step.keep_average(*average, *averaged);
  plan.profile = std::make_unique<Profile>(device);
  {
    const NamedRange range("step");
    step.run(batches, config.optimizer.lr);
  }
  plan.profile->end();
  return plan;
}

}  // namespace

const ProfiledRange& StepPlan::range(const char* name) const {
  for (const ProfiledRange& range : profile->ranges())
    if (!range.op && std::strcmp(range.name, name) == 0) return range;
  fail("step plan: expected a range '", name, "' in the profile");
}

const ProfiledRange& StepPlan::peak_op() const {
  for (const ProfiledRange& range : profile->ranges())
    if (range.op && range.max_live == bytes_before + peak()) return range;
  return range("step");
}

const char* StepPlan::part_of(const ProfiledRange& op) const {
  for (const char* part : {"forward", "backward", "update"})
    for (const ProfiledRange& range : profile->ranges())
      if (!range.op && std::strcmp(range.name, part) == 0 && op.begin >= range.begin && op.end <= range.end)
        return part;
  return "step";
}

StepPlan plan_step(const Config& config, Device device, int64_t fixations) {
  return run_step(config, device, fixations, true);
}

StepPlan measure_step(const Config& config, Device device, int64_t fixations) {
  return run_step(config, device, fixations, false);
}

}  // namespace gt
