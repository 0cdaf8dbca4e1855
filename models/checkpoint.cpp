#include "models/checkpoint.h"

#include <filesystem>

namespace gt {

SafeTensors weights(const Model& model, const Config& config, const std::string& gaze,
                    const std::map<std::string, std::string>& more) {
  SafeTensors file;
  file.tensors = model.parameters().named();
  file.metadata = more;
  file.metadata["format"] = "gradtrack";
  file.metadata["config"] = write_config(config);
  file.metadata["gaze"] = gaze;
  return file;
}

const std::string& metadata(const SafeTensors& file, const std::string& key, const std::string& path) {
  const auto it = file.metadata.find(key);
  if (it == file.metadata.end()) fail(path, ": not a GradTrack checkpoint: its metadata has no '", key, "'");
  return it->second;
}

LoadedModel load_model(const std::string& run_or_checkpoint, Device device) {
  LoadedModel loaded;
  loaded.path = run_or_checkpoint;
  if (std::filesystem::is_directory(run_or_checkpoint)) {
    loaded.path = run_or_checkpoint + "/best.safetensors";
    if (!std::filesystem::exists(loaded.path))
      fail(run_or_checkpoint, ": no best.safetensors in this folder; expected a run's folder or a checkpoint file");
  }
  const SafeTensors file = read_safetensors(loaded.path);
  loaded.config = parse_run_config(metadata(file, "config", loaded.path), loaded.path + " (its config)");
  loaded.gaze = metadata(file, "gaze", loaded.path);
  loaded.model = make_model(loaded.config, DType::f32, device);
  loaded.model->parameters().assign(file, loaded.path);
  return loaded;
}

}  // namespace gt
