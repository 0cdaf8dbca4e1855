// Networks as ONNX files: their structure, and what onnxruntime computes from them. tests/fixtures/make_onnx.py runs
// onnxruntime. What it computed is in tests/fixtures, so that Python is not needed.
#include "models/onnx.h"

#include <cstdlib>
#include <filesystem>
#include <set>

#include "core/random.h"
#include "models/evaluate.h"
#include "models/recipes.h"
#include "models/trainer.h"
#include "tests/differences.h"
#include "tests/program.h"

#if GT_ONNX
#include <onnx/onnx_pb.h>
#endif

using namespace gt;

namespace {

struct Case {
  const char* name;
  const char* yaml;
};

constexpr Case cases[] = {
    {"full", "recipe: full\n"},
    {"gradtrack", "recipe: gradtrack\n"},
    {"groups", "recipe: gradtrack\nattention: {coarser: added, groups: 2}\n"},
    {"gate", "recipe: gradtrack\nattention: {use: gate}\ndata: {size: 32, channels: 1, normalize: per_image}\n"},
    {"skip", "recipe: gradtrack\nattention: {use: skip}\ntrain: {select: test}\n"},
    {"gazemedseg", "recipe: gazemedseg\n"},
};

/// Too large for the fixtures.
constexpr Case large_case = {"resnet18", "model: {encoder: resnet18, features: [4, 4, 8, 8, 16, 4]}\n"};

/// A small network of a case, with random parameters. Those of a ResNet keep their scale, as it has no norms.
LoadedModel network(const Case& c) {
  std::string yaml = c.yaml;
  if (!has(yaml, "data:")) yaml += "data: {size: 32}\n";
  if (!has(yaml, "model:")) yaml += "model: {features: [4, 4, 8, 8, 16, 4]}\n";
  LoadedModel loaded;
  loaded.config = parse_run_config(yaml, c.name);
  loaded.model = make_model(loaded.config);
  loaded.gaze = "simulated";
  Random random(7, 0);
  for (const auto& [name, p] : loaded.model->parameters().named())
    for (int64_t i = 0; i < p.size() && !has(name, "resnet."); ++i)
      p.data<float>()[i] += float(random.uniform(-0.3, 0.3));
  return loaded;
}

Image random_image(const DataOptions& data, uint64_t seed) {
  Image image(data.size, data.size, data.channels);
  Random random(seed, 0);
  for (uint8_t& pixel : image.pixels) pixel = uint8_t(random.uniform(20, 250));
  return image;
}

/// The input of a graph for two images, and what the network predicts for each of them: tensors (2,C,H,W).
SafeTensors inputs_and_predictions(const LoadedModel& loaded) {
  const NoGrad no_grad;
  const DataOptions& data = loaded.config.data;
  SafeTensors file;
  Tensor input({2, data.channels, data.size, data.size});
  std::vector<Tensors> outputs;
  for (int64_t b = 0; b < 2; ++b) {
    const Image image = random_image(data, uint64_t(b + 1));
    const int64_t pixels = data.size * data.size;
    for (int64_t i = 0; i < pixels * data.channels; ++i)
      input.data<float>()[(b * data.channels + i % data.channels) * pixels + i / data.channels] =
          float(image.pixels[size_t(i)]) / 255;
    const Prediction p = loaded.model->predict(network_input(image, data, Device::cpu));
    outputs.push_back({p.logits});
    outputs.back().insert(outputs.back().end(), p.attention.begin(), p.attention.end());
  }
  file.tensors.emplace_back("image", input);
  for (size_t k = 0; k < outputs[0].size(); ++k) {
    Tensor both({2, 1, outputs[0][k].dim(1), outputs[0][k].dim(2)});
    for (size_t b = 0; b < 2; ++b)
      std::copy_n(outputs[b][k].data<float>(), both.size() / 2, both.data<float>() + int64_t(b) * both.size() / 2);
    file.tensors.emplace_back(k == 0 ? "logits" : str_cat("attention_", k), both);
  }
  return file;
}

/// Writes NAME.onnx and NAME.safetensors of a case to a folder, for make_onnx.py.
void write_case(const std::string& folder, const Case& c) {
  const LoadedModel loaded = network(c);
  write(str_cat(folder, "/", c.name, ".onnx"), onnx_file(loaded));
  write_safetensors(str_cat(folder, "/", c.name, ".safetensors"), inputs_and_predictions(loaded));
}

std::string python() {
  const char* path = std::getenv("GRADTRACK_PYTHON");
  return path ? path : "python3";
}

constexpr const char* script = GT_SOURCE_DIR "/tests/fixtures/make_onnx.py";

}  // namespace

#if GT_ONNX

namespace {

onnx::ModelProto parsed(const std::string& bytes) {
  onnx::ModelProto model;
  REQUIRE(model.ParseFromString(bytes));
  return model;
}

/// "name:batch,1,32,32"
std::string described(const onnx::ValueInfoProto& value) {
  std::string text = value.name() + ":";
  for (const auto& d : value.type().tensor_type().shape().dim())
    text += (text.back() == ':' ? "" : ",") + (d.has_dim_param() ? d.dim_param() : std::to_string(d.dim_value()));
  return text;
}

std::map<std::string, std::string> metadata_of(const onnx::ModelProto& model) {
  std::map<std::string, std::string> entries;
  for (const auto& entry : model.metadata_props()) entries[entry.key()] = entry.value();
  return entries;
}

/// Checks that each value is computed once, before it is used, and that constants have as many bytes as their shapes.
void check_order(const onnx::GraphProto& graph) {
  std::set<std::string> known;
  for (const auto& input : graph.input()) CHECK(known.insert(input.name()).second);
  for (const auto& constant : graph.initializer()) {
    CHECK(known.insert(constant.name()).second);
    size_t bytes = constant.data_type() == onnx::TensorProto::INT64 ? 8 : 4;
    for (const int64_t d : constant.dims()) bytes *= size_t(d);
    CHECK(constant.raw_data().size() == bytes);
  }
  for (const auto& node : graph.node()) {
    INFO(node.op_type());
    for (const std::string& input : node.input()) CHECK((input.empty() || known.count(input) == 1));
    for (const std::string& output : node.output()) CHECK(known.insert(output).second);
  }
  for (const auto& output : graph.output()) CHECK(known.count(output.name()) == 1);
}

}  // namespace

TEST_CASE("onnx: a file has the inputs, outputs and metadata that are promised, and each value in order", "[onnx]") {
  for (const Case& c : cases) {
    INFO(c.name);
    const LoadedModel loaded = network(c);
    const onnx::ModelProto model = parsed(onnx_file(loaded));
    CHECK(model.ir_version() == 8);
    REQUIRE(model.opset_import_size() == 1);
    CHECK(model.opset_import(0).version() == 17);
    check_order(model.graph());

    std::vector<std::string> outputs;
    for (const auto& output : model.graph().output()) outputs.push_back(described(output));
    std::vector<std::string> expected = {"logits:batch,1,32,32", "probability:batch,1,32,32"};
    if (loaded.config.recipe == "gradtrack")
      for (int64_t level = 1; level <= 4; ++level) {
        const int64_t side = std::min<int64_t>(32, 2 << level);
        expected.push_back(str_cat("attention_", level, ":batch,1,", side, ",", side));
      }
    CHECK(outputs == expected);
    REQUIRE(model.graph().input_size() == 1);
    CHECK(described(model.graph().input(0)) == str_cat("image:batch,", loaded.config.data.channels, ",32,32"));

    const std::map<std::string, std::string> metadata = metadata_of(model);
    CHECK(metadata.at("recipe") == loaded.config.recipe);
    CHECK(metadata.at("gaze") == "simulated");
    CHECK(metadata.at("size") == "32");
    CHECK(metadata.at("channels") == str_cat(loaded.config.data.channels));
    CHECK(metadata.count("warning") == (loaded.config.train.select == "test"));

    std::set<std::string> constants;
    for (const auto& constant : model.graph().initializer()) constants.insert(constant.name());
    for (const auto& [name, parameter] : loaded.model->parameters().named()) {
      INFO(name);
      CHECK(constants.count(name) == 1);
    }
  }
}

TEST_CASE("onnx: onnxruntime computed from the committed graphs what the networks predict", "[onnx]") {
  for (const Case& c : cases) {
    INFO(c.name);
    const SafeTensors fixture =
        read_safetensors(str_cat(GT_SOURCE_DIR "/tests/fixtures/onnx_", c.name, ".safetensors"));
    const LoadedModel loaded = network(c);
    const Tensor* bytes = fixture.find("model");
    REQUIRE(bytes != nullptr);
    const onnx::ModelProto then = parsed({bytes->data<char unsigned>(), bytes->data<char unsigned>() + bytes->size()});
    const onnx::ModelProto now = parsed(onnx_file(loaded));
    CHECK(then.graph().SerializeAsString() == now.graph().SerializeAsString());

    for (const auto& [name, ours] : inputs_and_predictions(loaded).tensors) {
      INFO(name);
      const Tensor* theirs = fixture.find(name);
      REQUIRE(theirs != nullptr);
      REQUIRE(theirs->shape() == ours.shape());
      double worst = 0;
      for (int64_t i = 0; i < ours.size(); ++i)
        worst = larger_difference(worst, ours.data<float>()[i], theirs->data<float>()[i]);
      CHECK(worst < 1e-4);
    }
  }
}

namespace {

/// A network whose prediction is any function of the images.
class AnyNetwork : public Model {
 public:
  AnyNetwork(const Config& config, std::function<Tensor(const Tensor&)> predict)
      : Model(config, DType::f32, Device::cpu), predict_(std::move(predict)) {}
  Prediction predict(const Tensor& images) const override { return {predict_(images), {}}; }
  Losses losses(const SupervisedBatch&) const override { return {}; }
  std::vector<std::string> loss_terms() const override { return {}; }

 private:
  std::function<Tensor(const Tensor&)> predict_;
};

std::string refusal(std::function<Tensor(const Tensor&)> predict) {
  LoadedModel loaded;
  loaded.config.data.size = 16;
  loaded.config.data.channels = 1;
  loaded.config.data.mean = {0.5};
  loaded.config.data.std = {0.5};
  loaded.model = std::make_unique<AnyNetwork>(loaded.config, std::move(predict));
  return error_of([&] { onnx_file(loaded); });
}

}  // namespace

TEST_CASE("onnx: a network that cannot be expressed is refused, and the op is named", "[onnx]") {
  CHECK(refusal([](const Tensor& x) { return scale(x, 2, 1); }).empty());
  CHECK(has(refusal([](const Tensor& x) { return feature_propagation(x, x); }), "'feature_propagation'"));
  CHECK(has(refusal([](const Tensor& x) {
              return reshape(sum_last(reshape(x, {x.dim(0), 256})), {x.dim(0), 1, 1, 1});
            }),
            "'reshape'"));
  // What is computed without an op would be a constant in the file.
  CHECK(has(refusal([](const Tensor& x) {
              const Tensor doubled = x.clone();
              for (int64_t i = 0; i < x.size(); ++i) doubled.data<float>()[i] *= 2;
              return add(x, doubled);
            }),
            "'add' depends on the images"));
  CHECK(has(refusal([](const Tensor& x) { return scale(x, double(x.dim(0))); }), "'scale' depends on the images"));
  CHECK(has(refusal([](const Tensor& x) { return add(x, greater(x, 0)); }), "'add' depends on the images"));
}

TEST_CASE("onnx: onnxruntime gives the networks' logits and attention", "[onnx]") {
  if (std::system((python() + " -c 'import onnx, onnxruntime, safetensors' 2>/dev/null").c_str()) != 0)
    GT_SKIP_TEST("GRADTRACK_PYTHON names no Python with onnx, onnxruntime and safetensors");
  const TempFolder tmp;
  for (const Case& c : cases) write_case(tmp.path(), c);
  write_case(tmp.path(), large_case);
  CHECK(std::system((python() + " " + script + " " + tmp.path() + " >" + tmp / "log" + " 2>&1").c_str()) == 0);
  INFO(read_file(tmp / "log"));
  for (const char* name : {"gazemedseg: ", "resnet18: "}) CHECK(has(read_file(tmp / "log"), name));
}

TEST_CASE("onnx: write the fixtures", "[.fixtures]") {
  const TempFolder tmp;
  for (const Case& c : cases) write_case(tmp.path(), c);
  REQUIRE(std::system((python() + " " + script + " " + tmp.path() + " " GT_SOURCE_DIR "/tests/fixtures").c_str()) == 0);
}

TEST_CASE("onnx: export writes a file from a run, and replaces none", "[onnx][cli]") {
  const Workplace w;
  REQUIRE(run(w.train("train.iterations=4 train.val_every=4 train.select=test", "run")).status == 0);
  const std::string out = w.tmp / "new/model.onnx", command = "export " + w.tmp / "run" + " ";
  const Result r = run(command + out);
  CHECK(r.status == 0);
  CHECK(has(r.out, "SIMULATED gaze"));
  CHECK(has(r.out, "SELECTED ON TEST"));
  CHECK(metadata_of(parsed(read_file(out))).at("warning") == selected_on_test);
  check_error(command + out, {out, "exists already", "--force"});
  CHECK(run(command + out + " --force").status == 0);
  check_error(command + w.tmp / "model.pt", {"model.pt", ".onnx"});
  check_error("export " + w.tmp / "nothing" + " " + w.tmp / "a.onnx", {"nothing"});
  CHECK_FALSE(std::filesystem::exists(w.tmp / "a.onnx"));
}

#else

TEST_CASE("onnx: a build without the libraries says so", "[onnx]") {
  CHECK(has(error_of([] { onnx_file(network(cases[0])); }), "libonnx-dev"));
  CHECK(has(onnx_state(), "libonnx-dev"));
}

#endif
