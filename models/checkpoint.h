// Checkpoints: safetensors files whose metadata holds the run's configuration, so that one file is enough to predict.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/io.h"
#include "models/model.h"

namespace gt {

/// The parameters under their names, with the metadata
///   format   "gradtrack"
///   version  of the format: 2
///   config   the configuration, YAML
///   gaze     what the model learned from: simulated, recorded or none
/// and the entries of `more`.
SafeTensors make_checkpoint(const Model& model, const Config& config, const std::string& gaze,
                            const std::map<std::string, std::string>& more = {});

/// Reads a checkpoint file. Parameters of version 1, which numbered the attention levels from the finest, get the names
/// of version 2. Throws Error if it is no checkpoint or of a newer version.
SafeTensors read_checkpoint(const std::string& path);

struct LoadedModel {
  Config config;
  std::unique_ptr<Model> model;
  std::string gaze;  // what it learned from: simulated, recorded or none
  std::string path;  // of the checkpoint
};

/// A model from a checkpoint file, or from the best.safetensors of a run's folder. Throws Error.
LoadedModel load_model(const std::string& run_or_checkpoint, Device device = Device::cpu);

/// The metadata entry `key`. Throws Error, naming `path`, if there is none.
const std::string& metadata(const SafeTensors& file, const std::string& key, const std::string& path);

}  // namespace gt
