#include "tools/predict_inputs.h"

#include <algorithm>
#include <filesystem>

#include "core/io.h"
#include "gaze/dicom.h"
#include "gaze/scan.h"

namespace gt {
namespace {

namespace fs = std::filesystem;

/// Whether a file is DICOM with several frames. A file that cannot be read counts as an image, and is refused as such.
bool is_dicom_volume(const std::string& path) {
  try {
    if (!dicom_built() || !is_dicom(read_file(path))) return false;
    return read_dicom_header(path).frames > 1;
  } catch (const Error&) {
    return false;
  }
}

PredictInput input_of(const std::string& path) {
  using Kind = PredictInput::Kind;
  if (is_nifti_name(path)) return {path, Kind::nifti};
  const std::string extension = lower(fs::path(path).extension().string());
  const bool picture = extension == ".png" || extension == ".jpg" || extension == ".jpeg";
  return {path, !picture && is_dicom_volume(path) ? Kind::dicom_volume : Kind::image};
}

std::vector<std::string> files_of_folder(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) fail(folder, ": cannot read the folder: ", error.message());
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string(), extension = lower(entry.path().extension().string());
    const bool known = extension == ".jpg" || extension == ".jpeg" || extension == ".png" || extension == ".dcm" ||
                       is_nifti_name(name);
    if (known && !name.starts_with('.') && !entry.is_directory(error)) files.push_back(folder + "/" + name);
  }
  if (files.empty()) fail(folder, ": expected images .jpg, .png, .dcm or volumes .nii, .nii.gz, the folder has none");
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> files_of_list(const std::string& list) {
  std::vector<std::string> files;
  for (const TextLine& line : read_lines(list)) files.push_back((fs::path(list).parent_path() / line.text).string());
  if (files.empty()) fail(list, ": lists nothing, expected the path of one image or volume a line");
  return files;
}

}  // namespace

std::vector<PredictInput> predict_inputs(const std::vector<std::string>& arguments) {
  std::vector<PredictInput> inputs;
  for (const std::string& argument : arguments) {
    std::vector<std::string> files = {argument};
    std::error_code error;
    if (fs::is_directory(argument, error)) {
      files = files_of_folder(argument);
    } else if (lower(argument).ends_with(".txt")) {
      files = files_of_list(argument);
    }
    for (const std::string& file : files) inputs.push_back(input_of(file));
  }
  return inputs;
}

}  // namespace gt
