#include "models/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/io.h"
#include "models/recipes.h"

namespace gt {
namespace {

constexpr int current_version = 3;

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

bool all_finite(const Tensor& values) {
  const float* v = values.data<float>();
  return std::all_of(v, v + values.size(), [](float value) { return std::isfinite(value); });
}

}  // namespace

SafeTensors make_checkpoint(const Model& model, const Config& config, const std::string& gaze,
                            const std::map<std::string, std::string>& more) {
  SafeTensors file;
  file.tensors = model.parameters().named();
  file.metadata = more;
  file.metadata["format"] = "gradtrack";
  file.metadata["version"] = str_cat(current_version);
  file.metadata["config"] = write_config(config);
  file.metadata["gaze"] = gaze;
  return file;
}

std::string first_not_finite(const SafeTensors& file) {
  for (const auto& [name, tensor] : file.tensors) {
    if (tensor.dtype() == DType::u8 || tensor.dtype() == DType::i32) continue;
    const Tensor values = tensor.to(Device::cpu);
    if (!all_finite(values.dtype() == DType::f32 ? values : values.cast(DType::f32))) return name;
  }
  return "";
}

SafeTensors read_checkpoint(const std::string& path) {
  SafeTensors file = read_safetensors(path);
  metadata_entry(file, "config", path);
  const auto entry = file.metadata.find("version");
  const std::string version = entry == file.metadata.end() ? "1" : entry->second;
  if (version == "1")
    for (auto& [name, tensor] : file.tensors) name = rename_from_version_1(name);
  else if (version != "2" && version != str_cat(current_version))
    fail(path, ": checkpoint version ", version, ", expected ", current_version,
         " or older: a newer GradTrack wrote it");
  else if (version != "2" && !file.checked)
    fail(path, ": expected a checksum in a checkpoint of version ", version, ", found none: the file is damaged");
  const std::string bad = first_not_finite(file);
  if (!bad.empty()) fail(path, ": parameter '", bad, "' holds NaN or infinity, expected finite numbers");
  return file;
}

const std::string& metadata_entry(const SafeTensors& file, const std::string& key, const std::string& path) {
  const auto it = file.metadata.find(key);
  if (it == file.metadata.end())
    fail(path, ": not a GradTrack checkpoint: expected the metadata entry '", key, "', found none");
  return it->second;
}

std::string checkpoint_path(const std::string& run_or_checkpoint) {
  if (!is_folder(run_or_checkpoint)) return run_or_checkpoint;
  const std::string best = run_or_checkpoint + "/best.safetensors";
  if (!path_exists(best))
    fail(run_or_checkpoint, ": expected a run's folder or a checkpoint file, found a folder without best.safetensors");
  return best;
}

LoadedModel load_model(const std::string& run_or_checkpoint, Device device) {
  LoadedModel loaded;
  loaded.path = checkpoint_path(run_or_checkpoint);
  const SafeTensors file = read_checkpoint(loaded.path);
  loaded.config = parse_run_config(metadata_entry(file, "config", loaded.path), loaded.path + " (its config)");
  loaded.gaze = metadata_entry(file, "gaze", loaded.path);
  loaded.model = make_model(loaded.config, DType::f32, device);
  loaded.model->parameters().load(file, loaded.path);
  return loaded;
}

}  // namespace gt
