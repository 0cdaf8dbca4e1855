// The file format safetensors (https://github.com/huggingface/safetensors): named tensors and text.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace gt {

/// The content of a safetensors file: named tensors in order, and text.
struct SafeTensors {
  std::vector<std::pair<std::string, Tensor>> tensors;
  std::map<std::string, std::string> metadata;
  bool checked = false;  // the file had a checksum, which matched

  /// The tensor of this name, or null.
  const Tensor* find(const std::string& name) const;
};

/// Reads a file. Its sizes are checked before memory is allocated. Throws Error with the file and the fault if it is no
/// safetensors file, is truncated, has overlapping tensors, or has a checksum that its bytes do not match.
SafeTensors read_safetensors(const std::string& path);

/// Writes atomically, as write_file() does, with the CRC-32 of the whole file as the metadata entry "checksum". Throws
/// Error for two tensors of one name.
void write_safetensors(const std::string& path, const SafeTensors& content);

}  // namespace gt
