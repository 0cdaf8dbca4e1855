#include "models/onnx_ops.h"

#include <algorithm>
#include <map>

#include "core/text.h"

namespace gt {
namespace {

/// The dimensions after the batch of a tensor (B,H,W,C..) in the graph: C.., H, W. Those of (B,H,W) stay H, W.
std::vector<int64_t> without_batch(const Shape& shape) {
  std::vector<int64_t> dims(shape.begin() + 3, shape.end());
  dims.insert(dims.end(), {shape[1], shape[2]});
  return dims;
}

/// An op of a trace while it is appended to a graph.
class Call {
 public:
  Call(const TracedOp& op, OnnxGraph& graph, std::map<Dependents::Key, std::string>& values,
       const std::map<const void*, std::string>& parameters)
      : op(op), graph(graph), values_(values), parameters_(parameters) {}

  /// The name of input i, which depends on the image.
  std::string image(size_t i) const {
    const auto found = values_.find(Dependents::key(op.inputs[i]));
    if (found == values_.end() || op.inputs[i].rank() < 3) refuse(str_cat("its input ", i + 1, " is no image"));
    return found->second;
  }

  /// The name of input i, a constant, under a shape of equal size.
  std::string constant(size_t i, const Shape& shape) const {
    const Tensor& t = op.inputs[i];
    if (values_.count(Dependents::key(t))) refuse(str_cat("its input ", i + 1, " depends on the image"));
    const auto parameter = parameters_.find(t.raw());
    return graph.constant(parameter == parameters_.end() ? "" : parameter->second, shape, t.values<float>());
  }
  std::string constant(size_t i) const { return op.inputs[i].defined() ? constant(i, op.inputs[i].shape()) : ""; }
  /// A constant of one value per channel; "" if it is undefined.
  std::string per_channel(size_t i) const {
    return op.inputs[i].defined() ? constant(i, {op.inputs[i].size(), 1, 1}) : "";
  }
  std::string number(double value) const { return graph.constant("", {}, {float(value)}); }
  int64_t integer(const char* key) const { return int64_t(op.attribute(key)); }

  [[noreturn]] void refuse(const std::string& why) const {
    fail("the network uses the op '", op.name, "', which cannot be exported to ONNX: ", why);
  }

  const TracedOp& op;
  OnnxGraph& graph;

 private:
  std::map<Dependents::Key, std::string>& values_;
  const std::map<const void*, std::string>& parameters_;
};

using Names = std::vector<std::string>;

/// A node of the type, of all inputs, which are images.
template <const char* const& type>
Names same_shape(const Call& c) {
  Names inputs;
  for (size_t i = 0; i < c.op.inputs.size(); ++i) inputs.push_back(c.image(i));
  return {c.graph.add(type, inputs)};
}

Names scale_nodes(const Call& c) {
  std::string y = c.image(0);
  const double factor = c.op.attribute("factor"), offset = c.op.attribute("offset");
  if (factor != 1) y = c.graph.add("Mul", {y, c.number(factor)});
  return {offset != 0 ? c.graph.add("Add", {y, c.number(offset)}) : c.graph.add("Identity", {y})};
}

Names square_nodes(const Call& c) { return {c.graph.add("Mul", {c.image(0), c.image(0)})}; }

Names leaky_relu_nodes(const Call& c) {
  return {c.graph.add("LeakyRelu", {c.image(0)}, {{"alpha", c.op.attribute("slope")}})};
}

/// Where the last dimension of input i is in the graph.
int64_t axis_of_last(const Call& c, size_t i) {
  if (c.op.inputs[i].rank() < 4) c.refuse("expected channels");
  return c.op.inputs[i].rank() - 3;
}

Names sum_last_nodes(const Call& c) {
  return {c.graph.add("ReduceSum", {c.image(0), c.graph.integers({axis_of_last(c, 0)})}, {{"keepdims", int64_t(0)}})};
}

template <const char* const& type>
Names with_channels(const Call& c) {
  return {c.graph.add(type, {c.image(0), c.per_channel(1)})};
}

Names mul_pixels_nodes(const Call& c) {
  const std::string a = c.graph.add("Unsqueeze", {c.image(1), c.graph.integers({axis_of_last(c, 0)})});
  return {c.graph.add("Mul", {c.image(0), a})};
}

/// Only channels can be reshaped: their place differs in the graph.
Names reshape_nodes(const Call& c) {
  const Shape &from = c.op.inputs[0].shape(), &to = c.op.outputs[0].shape();
  if (from.rank() < 3 || to.rank() < 3 || !std::equal(from.begin(), from.begin() + 3, to.begin()))
    c.refuse(str_cat("expected an unchanged batch, height and width, got ", from, " as ", to));
  std::vector<int64_t> dims = without_batch(to);
  dims.insert(dims.begin(), 0);  // 0 copies the batch
  return {c.graph.add("Reshape", {c.image(0), c.graph.integers(dims)})};
}

Names concat_nodes(const Call& c) {
  if (c.op.inputs[0].rank() != 4) c.refuse("expected images (B,H,W,C)");
  std::string b = c.image(1);
  if (c.op.inputs[2].defined()) b = c.graph.add("Add", {b, c.per_channel(2)});
  return {c.graph.add("Concat", {c.image(0), b}, {{"axis", int64_t(1)}})};
}

/// A convolution that pads by half its kernel.
Names convolution_nodes(const Call& c, int64_t stride) {
  const int64_t kernel = c.op.inputs[1].dim(2), pad = kernel / 2;
  OnnxAttributes attributes = {{"kernel_shape", std::vector{kernel, kernel}},
                               {"pads", std::vector{pad, pad, pad, pad}}};
  if (stride != 1) attributes.emplace_back("strides", std::vector{stride, stride});
  return {c.graph.add("Conv", {c.image(0), c.constant(1), c.constant(2)}, attributes)};
}
Names conv2d_nodes(const Call& c) { return convolution_nodes(c, 1); }
Names conv2d_strided_nodes(const Call& c) { return convolution_nodes(c, c.integer("stride")); }

Names conv_transpose_nodes(const Call& c) {
  const std::vector<int64_t> two = {2, 2};
  return {c.graph.add("ConvTranspose", {c.image(0), c.constant(1), c.constant(2)},
                      {{"kernel_shape", two}, {"strides", two}})};
}

std::string max_pool_node(const Call& c) {
  const std::vector<int64_t> two = {2, 2};
  return c.graph.add("MaxPool", {c.image(0)}, {{"kernel_shape", two}, {"strides", two}});
}
Names max_pool_nodes(const Call& c) { return {max_pool_node(c)}; }
Names max_pool3x3_nodes(const Call& c) {
  const std::vector<int64_t> one = {1, 1, 1, 1}, two = {2, 2}, three = {3, 3};
  return {c.graph.add("MaxPool", {c.image(0)}, {{"kernel_shape", three}, {"pads", one}, {"strides", two}})};
}
Names max_pool_and_skip_nodes(const Call& c) { return {max_pool_node(c), c.image(0)}; }

/// The size follows the batch and the channels of the input, as the batch is not known.
Names resize_nodes(const Call& c) {
  const Shape& to = c.op.outputs[0].shape();
  const std::string x = c.image(0);
  const std::string kept = c.graph.add("Shape", {x}, {{"start", int64_t(0)}, {"end", int64_t(2)}});
  const std::string size = c.graph.add("Concat", {kept, c.graph.integers({to[1], to[2]})}, {{"axis", int64_t(0)}});
  return {
      c.graph.add("Resize", {x, "", "", size},
                  {{"mode", std::string("linear")}, {"coordinate_transformation_mode", std::string("half_pixel")}})};
}

/// Opset 17 has no group normalisation. Each group is one channel of an instance normalisation.
std::string group_norm_node(const Call& c, const std::string& x, size_t gamma) {
  const int64_t groups = c.integer("groups");
  std::vector<int64_t> dims = without_batch(c.op.outputs[0].shape());
  dims.insert(dims.begin(), 0);
  const size_t n = size_t(groups);
  const std::string one = c.graph.constant("", {groups}, std::vector<float>(n, 1));
  const std::string zero = c.graph.constant("", {groups}, std::vector<float>(n, 0));
  const std::string grouped = c.graph.add("Reshape", {x, c.graph.integers({0, groups, -1})});
  const std::string normal =
      c.graph.add("InstanceNormalization", {grouped, one, zero}, {{"epsilon", c.op.attribute("eps")}});
  const std::string y = c.graph.add("Reshape", {normal, c.graph.integers(dims)});
  return c.graph.add("Add", {c.graph.add("Mul", {y, c.per_channel(gamma)}), c.per_channel(gamma + 1)});
}

Names group_norm_nodes(const Call& c) {
  std::string x = c.image(0);
  if (c.op.inputs[1].defined()) x = c.graph.add("Add", {x, c.per_channel(1)});
  const std::string y = group_norm_node(c, x, 2);
  const double slope = c.op.attribute("slope");
  return {slope == 1 ? y : c.graph.add("LeakyRelu", {y}, {{"alpha", slope}})};
}

/// Without a map, whose loss no prediction needs.
Names track_attention_nodes(const Call& c) {
  if (c.op.inputs[3].defined()) c.refuse("expected no map");
  const int64_t channels = c.op.inputs[1].size();
  const std::string a = c.graph.add("Conv", {c.image(0), c.constant(1, {1, channels, 1, 1}), c.constant(2)},
                                    {{"kernel_shape", std::vector<int64_t>{1, 1}}});
  const std::string attention = c.graph.add("Sigmoid", {a});
  const std::string features = c.graph.add("Mul", {c.image(0), c.graph.add("Add", {attention, c.number(1)})});
  return {features, c.graph.add("Squeeze", {attention, c.graph.integers({1})})};
}

// The types of nodes that same_shape() and with_channels() add.
constexpr const char* add_type = "Add";
constexpr const char* sub_type = "Sub";
constexpr const char* mul_type = "Mul";
constexpr const char* exp_type = "Exp";
constexpr const char* sigmoid_type = "Sigmoid";
constexpr const char* softplus_type = "Softplus";

/// What appends the nodes of each op.
const std::map<std::string, Names (*)(const Call&)>& op_table() {
  static const std::map<std::string, Names (*)(const Call&)> table = {
      {"add", same_shape<add_type>},
      {"sub", same_shape<sub_type>},
      {"mul", same_shape<mul_type>},
      {"exp", same_shape<exp_type>},
      {"sigmoid", same_shape<sigmoid_type>},
      {"softplus", same_shape<softplus_type>},
      {"square", square_nodes},
      {"scale", scale_nodes},
      {"leaky_relu", leaky_relu_nodes},
      {"sum_last", sum_last_nodes},
      {"add_channels", with_channels<add_type>},
      {"mul_channels", with_channels<mul_type>},
      {"mul_pixels", mul_pixels_nodes},
      {"reshape", reshape_nodes},
      {"concat", concat_nodes},
      {"conv2d", conv2d_nodes},
      {"conv2d_strided", conv2d_strided_nodes},
      {"conv_transpose2x2", conv_transpose_nodes},
      {"max_pool2x2", max_pool_nodes},
      {"max_pool2x2_and_skip", max_pool_and_skip_nodes},
      {"max_pool3x3", max_pool3x3_nodes},
      {"resize_bilinear", resize_nodes},
      {"group_norm", group_norm_nodes},
      {"group_norm_leaky_relu", group_norm_nodes},
      {"track_attention", track_attention_nodes},
  };
  return table;
}

}  // namespace

Dependents::Dependents(const std::vector<TracedOp>& ops, const Tensor& input) {
  found_.insert(key(input));
  for (const TracedOp& op : ops) {
    if (std::none_of(op.inputs.begin(), op.inputs.end(), [&](const Tensor& t) { return contains(t); })) continue;
    for (const Tensor& output : op.outputs) found_.insert(key(output));
  }
}

std::vector<std::string> append_ops(OnnxGraph& graph, const std::vector<TracedOp>& ops, const Tensor& input,
                                    const std::string& input_name, const NamedTensors& parameters,
                                    const Tensors& outputs) {
  std::map<Dependents::Key, std::string> values = {{Dependents::key(input), input_name}};
  std::map<const void*, std::string> names;
  for (const auto& [name, parameter] : parameters) names.emplace(parameter.raw(), name);
  const Dependents dependents(ops, input);
  for (const TracedOp& op : ops) {
    if (!dependents.contains(op.outputs[0])) continue;  // its output is a constant
    const Call call(op, graph, values, names);
    const auto row = op_table().find(op.name);
    if (row == op_table().end()) call.refuse("ONNX has no such op");
    const Names made = row->second(call);
    for (size_t i = 0; i < made.size(); ++i) values.emplace(Dependents::key(op.outputs[i]), made[i]);
  }
  std::vector<std::string> found;
  for (const Tensor& output : outputs) {
    const auto value = values.find(Dependents::key(output));
    GT_CHECK(value != values.end(), "append_ops: an output does not depend on the input");
    found.push_back(value->second);
  }
  return found;
}

}  // namespace gt
