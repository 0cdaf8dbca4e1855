#include "models/onnx.h"

#include <cstring>

#include "core/random.h"
#include "models/trainer.h"

#if GT_ONNX
#include "models/onnx_ops.h"
#endif

namespace gt {

bool onnx_built() { return GT_ONNX; }

#if GT_ONNX

namespace {

/// A prediction with the ops that it is made of.
struct TracedPrediction {
  Trace trace;
  Tensor images;
  Prediction prediction;

  TracedPrediction(const LoadedModel& loaded, int64_t batch) {
    const NoGrad no_grad;
    const DataOptions& data = loaded.config.data;
    images = Tensor({batch, data.size, data.size, data.channels});
    Random random(uint64_t(batch), 0);
    for (int64_t i = 0; i < images.size(); ++i) images.data<float>()[i] = float(random.uniform(-2, 2));
    prediction = loaded.model->predict(images);
  }
};

/// Whether two shapes of tensors that depend on the image differ in the batch alone, 1 and 2.
bool differ_in_batch(Shape one, const Shape& two) {
  if (one.rank() == 0 || one.rank() != two.rank() || one[0] != 1) return false;
  one[0] = 2;
  return one == two;
}

bool equal_values(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

/// Throws Error, naming the op, unless a trace of one image describes every batch: another batch must have run the same
/// ops, with the same attributes and constants. What a network computes from its images without an op shows here.
void check_generality(const std::vector<TracedOp>& one, const Tensor& image, const std::vector<TracedOp>& two,
                      const Tensor& images) {
  const Dependents of_one(one, image), of_two(two, images);
  if (one.size() != two.size()) fail("the network runs other ops for other images, which ONNX cannot express");
  for (size_t k = 0; k < one.size(); ++k) {
    bool same = std::string_view(one[k].name) == two[k].name && one[k].inputs.size() == two[k].inputs.size();
    for (size_t i = 0; same && i < one[k].attributes.size(); ++i)
      same = one[k].attributes[i].second == two[k].attributes[i].second;
    for (size_t i = 0; same && i < one[k].inputs.size(); ++i) {
      const Tensor &a = one[k].inputs[i], &b = two[k].inputs[i];
      same = a.defined() == b.defined() && of_one.contains(a) == of_two.contains(b);
      if (same && a.defined()) same = of_one.contains(a) ? differ_in_batch(a.shape(), b.shape()) : equal_values(a, b);
    }
    if (!same) fail("the op '", one[k].name, "' depends on the images in a way that ONNX cannot express");
  }
}

/// Appends the normalisation of images (batch,C,S,S) in [0,1], as normalisation_of() in gaze/dataset.cpp.
std::string append_normalisation(OnnxGraph& graph, const std::string& image, const DataOptions& data) {
  const Shape per_channel = {data.channels, 1, 1};
  const auto numbers = [](const std::vector<double>& v) { return std::vector<float>(v.begin(), v.end()); };
  if (data.normalize == "fixed")
    return graph.add("Div", {graph.add("Sub", {image, graph.constant("mean", per_channel, numbers(data.mean))}),
                             graph.constant("std", per_channel, numbers(data.std))});
  const OnnxAttributes all = {{"axes", std::vector<int64_t>{1, 2, 3}}};
  const std::string centred = graph.add("Sub", {image, graph.add("ReduceMean", {image}, all)});
  const std::string variance = graph.add("ReduceMean", {graph.add("Mul", {centred, centred})}, all);
  const std::string varies = graph.add("Greater", {variance, graph.constant("", {}, {float(least_variance)})});
  return graph.add("Div",
                   {centred, graph.add("Where", {varies, graph.add("Sqrt", {variance}), graph.constant("", {}, {1})})});
}

void set_metadata(OnnxGraph& graph, const LoadedModel& loaded) {
  const Config& config = loaded.config;
  graph.set_metadata("recipe", config.recipe);
  graph.set_metadata("gaze", loaded.gaze);
  graph.set_metadata("size", str_cat(config.data.size));
  graph.set_metadata("channels", str_cat(config.data.channels));
  graph.set_metadata("normalize", config.data.normalize);
  graph.set_metadata("version", GT_VERSION);
  if (config.train.select == "test") graph.set_metadata("warning", selected_on_test);
}

}  // namespace

std::string onnx_state() { return onnx_versions(); }

std::string onnx_file(const LoadedModel& loaded) {
  GT_CHECK(loaded.model->device() == Device::cpu, "onnx_file: expected a network on the CPU");
  const DataOptions& data = loaded.config.data;
  auto one = std::make_unique<TracedPrediction>(loaded, 1);
  const std::vector<TracedOp> ops = one->trace.ops();
  const Tensor image = one->images;
  const Prediction prediction = one->prediction;
  one.reset();  // a thread has one trace at a time
  {
    const TracedPrediction two(loaded, 2);
    check_generality(ops, image, two.trace.ops(), two.images);
  }
  OnnxGraph graph("gradtrack");
  graph.add_input("image", {data.channels, data.size, data.size});
  Tensors outputs = {prediction.logits};
  outputs.insert(outputs.end(), prediction.attention.begin(), prediction.attention.end());
  const std::vector<std::string> values = append_ops(graph, ops, image, append_normalisation(graph, "image", data),
                                                     loaded.model->parameters().named(), outputs);
  const Shape whole = {1, data.size, data.size};
  graph.add_output("logits", values[0], whole);
  graph.add_output("probability", graph.add("Sigmoid", {values[0]}), whole);
  const std::string axis = prediction.attention.empty() ? "" : graph.integers({1});
  for (size_t l = 0; l < prediction.attention.size(); ++l)
    graph.add_output(str_cat("attention_", l + 1), graph.add("Unsqueeze", {values[l + 1], axis}),
                     {1, prediction.attention[l].dim(1), prediction.attention[l].dim(2)});
  set_metadata(graph, loaded);
  return graph.bytes();
}

#else

std::string onnx_state() { return "not built: libonnx-dev and libprotobuf-dev were not found"; }

std::string onnx_file(const LoadedModel&) {
  fail("this build writes no ONNX, expected one with libonnx-dev and libprotobuf-dev: install them and build again");
}

#endif

}  // namespace gt
