// Checkpoints: safetensors files with the parameters and, as metadata, the configuration. One file is enough to
// predict.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/safetensors.h"
#include "models/model.h"

namespace gt {

/// A checkpoint in memory: the parameters under their names, the entries of `more` as metadata, and these metadata:
///   format   "gradtrack"
///   version  the version of the format, 3
///   config   the configuration as YAML
///   gaze     the gaze that the model was trained on: simulated, recorded or none
SafeTensors make_checkpoint(const Model& model, const Config& config, const std::string& gaze,
                            const std::map<std::string, std::string>& more = {});

/// The name of the first tensor with a value that is NaN or infinite; "" if there is none.
std::string first_not_finite(const SafeTensors& file);

/// Reads a checkpoint file. Version 1 numbered the attention levels from the finest, so its parameters are renamed.
/// Versions 1 and 2 had no checksum. Throws Error if the file is no checkpoint, if its version is newer than 3, if its
/// bytes do not match its checksum, and if a value is not finite.
SafeTensors read_checkpoint(const std::string& path);

/// A model with what its checkpoint records about it.
struct LoadedModel {
  Config config;
  std::unique_ptr<Model> model;
  std::string gaze;  // the gaze that it was trained on: simulated, recorded or none
  std::string path;  // the checkpoint file
};

/// The checkpoint file that a path means: itself, or best.safetensors in a run's folder. Throws Error if that is
/// missing.
std::string checkpoint_path(const std::string& run_or_checkpoint);

/// Loads a model from a checkpoint file, or from best.safetensors in a run's folder. Throws Error if there is no such
/// file, or if its parameters do not match its configuration.
LoadedModel load_model(const std::string& run_or_checkpoint, Device device = Device::cpu);

/// The metadata entry `key` of a checkpoint that was read from `path`. Throws Error if there is none.
const std::string& metadata_entry(const SafeTensors& file, const std::string& key, const std::string& path);

}  // namespace gt
