// Files: whole-file reading, writing that leaves the old file or the new one and never half of one, and safetensors.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace gt {

/// The file's bytes. Throws Error with the system's reason.
std::string read_file(const std::string& path);

/// `s` without blanks and carriage returns around it.
std::string_view trim(std::string_view s);

struct TextLine {
  int64_t number;  // from 1
  std::string text;
};

/// A text file's lines, trimmed, those that are blank left out; LF or CRLF, with or without a byte order mark.
std::vector<TextLine> read_lines(const std::string& path);

/// Writes to a temporary name beside `path`, syncs, renames. Throws Error with the system's reason and removes the
/// temporary file; `path` is then as it was.
void write_file(const std::string& path, const std::string& bytes);

/// Makes a folder and its parents; no error if it is there. Throws Error with the system's reason.
void make_folder(const std::string& path);

/// A safetensors file (https://github.com/huggingface/safetensors): named tensors of f32, f64, u8 or i32, in order, and
/// text.
struct SafeTensors {
  std::vector<std::pair<std::string, Tensor>> tensors;
  std::map<std::string, std::string> metadata;

  /// The tensor of this name, or null.
  const Tensor* find(const std::string& name) const;
};

/// Throws Error, naming the file and what is wrong, for a truncated, overlapping or foreign file.
SafeTensors read_safetensors(const std::string& path);
void write_safetensors(const std::string& path, const SafeTensors& content);

}  // namespace gt
