#include "models/onnx_graph.h"

#include "core/check.h"
#include "core/text.h"

#include <onnx/onnx_pb.h>

namespace gt {
namespace {

constexpr int opset = 17;
constexpr int ir_version = 8;  // of the release that brought opset 17

void set_shape(onnx::ValueInfoProto& value, const std::string& name, const Shape& shape) {
  value.set_name(name);
  onnx::TypeProto_Tensor& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  type.mutable_shape()->add_dim()->set_dim_param("batch");
  for (const int64_t d : shape) type.mutable_shape()->add_dim()->set_dim_value(d);
}

void set_value(onnx::AttributeProto& attribute, int64_t value) {
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}
void set_value(onnx::AttributeProto& attribute, double value) {
  attribute.set_type(onnx::AttributeProto::FLOAT);
  attribute.set_f(float(value));
}
void set_value(onnx::AttributeProto& attribute, const std::string& value) {
  attribute.set_type(onnx::AttributeProto::STRING);
  attribute.set_s(value);
}
void set_value(onnx::AttributeProto& attribute, const std::vector<int64_t>& values) {
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute.add_ints(value);
}

}  // namespace

std::string onnx_versions() {
  return str_cat("built: opset ", opset, ", protobuf ", GOOGLE_PROTOBUF_VERSION / 1000000, ".",
                 GOOGLE_PROTOBUF_VERSION / 1000 % 1000, ".", GOOGLE_PROTOBUF_VERSION % 1000);
}

OnnxGraph::OnnxGraph(const std::string& name) : model_(std::make_unique<onnx::ModelProto>()) {
  model_->set_ir_version(ir_version);
  model_->set_producer_name("gradtrack");
  model_->set_producer_version(GT_VERSION);
  model_->add_opset_import()->set_version(opset);
  model_->mutable_graph()->set_name(name);
}

OnnxGraph::~OnnxGraph() = default;

std::string OnnxGraph::free_name(const std::string& stem) {
  std::string name;
  do name = str_cat(stem, "_", ++used_[stem]);
  while (used_.count(name));
  used_[name] = 0;
  return name;
}

void OnnxGraph::add_input(const std::string& name, const Shape& shape) {
  GT_CHECK(used_.emplace(name, 0).second, "OnnxGraph: the name '", name, "' is taken");
  set_shape(*model_->mutable_graph()->add_input(), name, shape);
}

void OnnxGraph::add_output(const std::string& name, const std::string& value, const Shape& shape) {
  GT_CHECK(used_.emplace(name, 0).second, "OnnxGraph: the name '", name, "' is taken");
  onnx::NodeProto& node = *model_->mutable_graph()->add_node();
  node.set_name(name);
  node.set_op_type("Identity");
  node.add_input(value);
  node.add_output(name);
  set_shape(*model_->mutable_graph()->add_output(), name, shape);
}

std::string OnnxGraph::add(const std::string& type, const std::vector<std::string>& inputs,
                           const OnnxAttributes& attributes) {
  const std::string name = free_name(type);
  onnx::NodeProto& node = *model_->mutable_graph()->add_node();
  node.set_name(name);
  node.set_op_type(type);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(name);
  for (const auto& [key, value] : attributes) {
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(key);
    std::visit([&](const auto& v) { set_value(attribute, v); }, value);
  }
  return name;
}

std::string OnnxGraph::constant(const std::string& wanted, const Shape& shape, const std::vector<float>& values) {
  GT_CHECK(int64_t(values.size()) == shape.size(), "OnnxGraph: ", values.size(), " values for the shape ", shape);
  const bool free = !wanted.empty() && used_.emplace(wanted, 0).second;
  const std::string name = free ? wanted : free_name(wanted.empty() ? "constant" : wanted);
  onnx::TensorProto& tensor = *model_->mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  for (const int64_t d : shape) tensor.add_dims(d);
  tensor.set_raw_data(values.data(), values.size() * sizeof(float));
  return name;
}

std::string OnnxGraph::integers(const std::vector<int64_t>& values) {
  const std::string name = free_name("integers");
  onnx::TensorProto& tensor = *model_->mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.add_dims(int64_t(values.size()));
  tensor.set_raw_data(values.data(), values.size() * sizeof(int64_t));
  return name;
}

void OnnxGraph::set_metadata(const std::string& key, const std::string& value) {
  onnx::StringStringEntryProto& entry = *model_->add_metadata_props();
  entry.set_key(key);
  entry.set_value(value);
}

std::string OnnxGraph::bytes() const {
  std::string bytes;
  if (model_->ByteSizeLong() >= size_t(1) << 31 || !model_->SerializeToString(&bytes))
    fail("the network takes ", model_->ByteSizeLong(), " bytes as ONNX, expected less than 2 GiB");
  return bytes;
}

}  // namespace gt
