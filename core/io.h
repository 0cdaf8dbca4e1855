// Files: reading whole files, atomic writing, and safetensors.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "core/text.h"

namespace gt {

/// The bytes of a file. Throws Error with the system's reason.
std::string read_file(const std::string& path);

struct TextLine {
  int64_t number;  // from 1
  std::string text;
};

/// The lines of a text file that are not blank, trimmed. Line ends are LF or CRLF; a byte order mark is skipped.
std::vector<TextLine> read_lines(const std::string& path);

/// Replaces the file at `path` atomically: writes `path`.tmp, syncs it and renames it. On failure throws Error with the
/// system's reason, removes the temporary file and leaves `path` unchanged. Devices and pipes are written directly.
void write_file(const std::string& path, const std::string& bytes);

/// Creates a folder and its parents if they are missing. Throws Error with the system's reason.
void make_folder(const std::string& path);

/// The content of a safetensors file (https://github.com/huggingface/safetensors): named tensors in order, and text.
struct SafeTensors {
  std::vector<std::pair<std::string, Tensor>> tensors;
  std::map<std::string, std::string> metadata;

  /// The tensor of this name, or null.
  const Tensor* find(const std::string& name) const;
};

/// Throws Error with the file and the fault if it is truncated, has overlapping tensors or is no safetensors file.
SafeTensors read_safetensors(const std::string& path);
/// Writes atomically, as write_file() does. Throws Error for two tensors of one name.
void write_safetensors(const std::string& path, const SafeTensors& content);

}  // namespace gt
