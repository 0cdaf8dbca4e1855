// Checkpoints: safetensors files whose metadata holds the run's configuration, so that a file alone is enough to
// predict.
#pragma once

#include <memory>
#include <string>

#include "core/io.h"
#include "models/model.h"

namespace gt {

/// The parameters, under their names, and metadata {"format": "gradtrack", "config": YAML, "gaze": ..., ...more}.
SafeTensors weights(const Model& model, const Config& config, const std::string& gaze,
                    const std::map<std::string, std::string>& more = {});

struct LoadedModel {
  Config config;
  std::unique_ptr<Model> model;
  std::string gaze;  // that it was trained on: simulated, recorded or none
  std::string path;  // of the checkpoint
};

/// A model from a checkpoint file, or from a run's folder (its best.safetensors). Throws Error.
LoadedModel load_model(const std::string& run_or_checkpoint, Device device = Device::cpu);

/// The text of `key`. Throws Error, naming `path`, if the metadata lacks it.
const std::string& metadata(const SafeTensors& file, const std::string& key, const std::string& path);

}  // namespace gt
