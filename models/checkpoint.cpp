#include "models/checkpoint.h"

#include <filesystem>

#include "models/recipes.h"

namespace gt {
namespace {

constexpr const char* current_version = "2";

/// Renames a parameter of version 1: "optimizer.velocity.attention_4.bias" becomes
/// "optimizer.velocity.attention_1.bias". Other names are unchanged.
std::string rename_from_version_1(const std::string& name) {
  const std::string stem = "attention_";
  const size_t at = name.find(stem), digit = at + stem.size();
  if (at == name.npos || digit + 1 >= name.size() || name[digit + 1] != '.') return name;
  if (name[digit] < '1' || name[digit] > '0' + map_levels) return name;
  std::string renamed = name;
  renamed[digit] = char('0' + map_levels + 1 - (name[digit] - '0'));
  return renamed;
}

}  // namespace

SafeTensors make_checkpoint(const Model& model, const Config& config, const std::string& gaze,
                            const std::map<std::string, std::string>& more) {
  SafeTensors file;
  file.tensors = model.parameters().named();
  file.metadata = more;
  file.metadata["format"] = "gradtrack";
  file.metadata["version"] = std::string(current_version);
  file.metadata["config"] = write_config(config);
  file.metadata["gaze"] = gaze;
  return file;
}

SafeTensors read_checkpoint(const std::string& path) {
  SafeTensors file = read_safetensors(path);
  metadata_entry(file, "config", path);
  const auto version = file.metadata.find("version");
  if (version == file.metadata.end()) {
    for (auto& [name, tensor] : file.tensors) name = rename_from_version_1(name);
  } else if (version->second != current_version) {
    fail(path, ": checkpoint version ", version->second, ", expected ", current_version,
         " or older: a newer GradTrack wrote it");
  }
  return file;
}

const std::string& metadata_entry(const SafeTensors& file, const std::string& key, const std::string& path) {
  const auto it = file.metadata.find(key);
  if (it == file.metadata.end())
    fail(path, ": not a GradTrack checkpoint: expected the metadata entry '", key, "', found none");
  return it->second;
}

LoadedModel load_model(const std::string& run_or_checkpoint, Device device) {
  LoadedModel loaded;
  loaded.path = run_or_checkpoint;
  if (std::filesystem::is_directory(run_or_checkpoint)) {
    loaded.path = run_or_checkpoint + "/best.safetensors";
    if (!std::filesystem::exists(loaded.path))
      fail(run_or_checkpoint,
           ": expected a run's folder or a checkpoint file, found a folder without best.safetensors");
  }
  const SafeTensors file = read_checkpoint(loaded.path);
  loaded.config = parse_run_config(metadata_entry(file, "config", loaded.path), loaded.path + " (its config)");
  loaded.gaze = metadata_entry(file, "gaze", loaded.path);
  loaded.model = make_model(loaded.config, DType::f32, device);
  loaded.model->parameters().load(file, loaded.path);
  return loaded;
}

}  // namespace gt
