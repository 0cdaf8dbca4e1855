// What `gradtrack predict` segments.
#pragma once

#include <string>
#include <vector>

namespace gt {

struct PredictInput {
  enum class Kind { image, nifti, dicom_volume };
  std::string path;
  Kind kind = Kind::image;
  bool is_volume() const { return kind != Kind::image; }
};

/// The files that arguments name: a file; a folder with images and volumes; or a list NAME.txt with the path of one
/// file a line, relative to the list's folder. Throws Error for a folder or list that cannot be read or names nothing.
std::vector<PredictInput> predict_inputs(const std::vector<std::string>& arguments);

}  // namespace gt
