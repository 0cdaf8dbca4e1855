// A graph in the ONNX format while it is built: opset 17, IR version 8, by protobuf and the schema of libonnx-dev. It
// is compiled only if they are found. This file and its body are the only ones that know the format. Source:
// https://github.com/onnx/onnx, docs/IR.md and docs/Operators.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/shape.h"

namespace onnx {
class ModelProto;
}

namespace gt {

/// The versions of the format and of protobuf.
std::string onnx_versions();

/// The attributes of a node, under ONNX's names.
using OnnxAttributes =
    std::vector<std::pair<const char*, std::variant<int64_t, double, std::string, std::vector<int64_t>>>>;

class OnnxGraph {
 public:
  explicit OnnxGraph(const std::string& name);
  ~OnnxGraph();
  OnnxGraph(const OnnxGraph&) = delete;
  OnnxGraph& operator=(const OnnxGraph&) = delete;

  /// Adds an input of f32 values. Its first dimension is `batch`, and `shape` has the others.
  void add_input(const std::string& name, const Shape& shape);
  /// Makes `value` an output under the name `name`, with a shape as for add_input().
  void add_output(const std::string& name, const std::string& value, const Shape& shape);
  /// Adds a node of one output. An empty name is an input that is left out. Returns the output's name.
  std::string add(const std::string& type, const std::vector<std::string>& inputs,
                  const OnnxAttributes& attributes = {});
  /// Adds a constant of f32 values, called `name` or, if that is taken or empty, by a name of its own. Returns the
  /// name.
  std::string constant(const std::string& name, const Shape& shape, const std::vector<float>& values);
  /// Adds a constant list of integers.
  std::string integers(const std::vector<int64_t>& values);
  /// Adds an entry to the model's metadata.
  void set_metadata(const std::string& key, const std::string& value);

  /// The bytes of a file. Throws Error if they are more than the format's 2 GiB.
  std::string bytes() const;

 private:
  std::string free_name(const std::string& stem);
  std::unique_ptr<onnx::ModelProto> model_;
  std::map<std::string, int64_t> used_;  // names and stems of names, with the next number of each
};

}  // namespace gt
