// gradtrack plans
#include <algorithm>
#include <cstdio>

#include "core/autograd.h"
#include "models/recipes.h"
#include "tools/commands.h"
#include "tools/run_config.h"

#if GT_CUDA && !GT_EMULATE
#include "kernels/cuda/convolution.h"
#include "kernels/libraries/cudnn_devices.h"
#endif

namespace gt {
namespace {

#if GT_CUDA && !GT_EMULATE

using cudnn::Pass;
using gpu::Convolution;
using gpu::is_to_one;

/// A pass of one convolution of the network.
struct PassOfLayer {
  std::string layer;
  std::string result;  // y, dx or dw of the layer
  Convolution convolution;
  Pass pass;
};

/// The passes of all convolutions in a training step. They are read from the ops that run for one image on the CPU.
std::vector<PassOfLayer> passes_of_network(const Config& config) {
  const std::unique_ptr<Model> model = make_model(config);
  const Trace trace;
  model->predict(Tensor::zeros({1, config.data.size, config.data.size, config.data.channels}));
  std::vector<PassOfLayer> passes;
  for (const TracedOp& op : trace.ops()) {
    const std::string name_of_op = op.name;
    const bool transposed = name_of_op == "conv_transpose2x2", strided = name_of_op == "conv2d_strided";
    if (!transposed && !strided && name_of_op != "conv2d") continue;
    const Tensor &x = op.inputs[0], &w = op.inputs[1];
    std::string layer;
    for (const auto& [name, parameter] : model->parameters().named())
      if (parameter.same_buffer(w)) layer = name.substr(0, name.rfind(".weight"));
    Convolution c = (transposed ? gpu::convolution_of_transpose : gpu::convolution_of_conv2d)(
        x.shape(), w.shape(), DType::f32, model->parameters().numerics());
    if (strided) c.stride = int64_t(op.attribute("stride"));
    if (is_to_one(c)) continue;
    c.images = config.train.batch;
    passes.push_back({layer, "y", c,
                      transposed               ? Pass::data_gradient
                      : op.inputs[2].defined() ? Pass::forward_with_bias
                                               : Pass::forward});
    if (x.requires_grad()) passes.push_back({layer, "dx", c, transposed ? Pass::forward : Pass::data_gradient});
    passes.push_back({layer, "dw", c, Pass::weight_gradient});
  }
  return passes;
}

struct Type {
  const char* name;
  DType dtype;
  bool tf32;
};
constexpr Type types[] = {{"f32", DType::f32, false}, {"tf32", DType::f32, true}, {"bf16", DType::bf16, false}};

/// Prints the table of plans. Appends each pass without a plan, with the reason, to `missing`.
void print_plans(const std::string& path, const std::string& gpu, std::vector<std::string>& missing) {
  const std::string device = cudnn::description_of(gpu);
  const Config config = load_config_with_warnings(path);
  std::printf("%s on %s: engine and workspace in MiB; + if the engine adds the bias\n", path.c_str(), gpu.c_str());
  std::printf("%-27s %-2s  %-18s %-16s", "layer", "", "x", "w");
  for (const Type& type : types) std::printf("  %-12s", type.name);
  std::printf("\n");
  for (const auto& [layer, result, convolution, pass] : passes_of_network(config)) {
    Convolution c = convolution;
    std::printf("%-27s %-2s  %-18s %-16s", layer.c_str(), result.c_str(),
                str_cat(Shape{c.images, c.height, c.width, c.in}).c_str(),
                str_cat(Shape{c.out, c.kernel, c.kernel, c.in}).c_str());
    for (const Type& type : types) try {
        c.dtype = type.dtype;
        c.tf32 = type.tf32;
        const cudnn::PlanFacts plan = cudnn::find_plan(c, pass, device);
        std::printf("  %3lld%s %7.2f", (long long)plan.engine, plan.adds_bias ? "+" : " ",
                    double(plan.workspace) / (1 << 20));
      } catch (const Error& e) {
        std::printf("  %-12s", "none");
        missing.push_back(str_cat(path, " on ", gpu, ": ", layer, " ", result, " in ", type.name, ": ", e.what()));
      }
    std::printf("\n");
  }
}

/// Prints the times of the plans that cuDNN proposes for each pass, first the one that is used, and their sums.
void print_times(const std::string& path, const std::vector<std::string>& words) {
  const Config config = load_config_with_warnings(path);
  std::printf("%s: engine and microseconds of each plan; the first plan is used\n", path.c_str());
  std::vector<std::pair<double, double>> sums(
      std::size(types));  // seconds of the plans in use, and of the fastest plans
  for (const auto& [layer, result, convolution, pass] : passes_of_network(config))
    for (size_t t = 0; t < std::size(types); ++t) {
      if (std::find(words.begin(), words.end(), types[t].name) == words.end()) continue;
      Convolution c = convolution;
      c.dtype = types[t].dtype;
      c.tf32 = types[t].tf32;
      const std::vector<cudnn::TimedPlan> timed = cudnn::time_plans(c, pass);
      if (timed.empty()) continue;
      double fastest = timed[0].seconds;
      for (const cudnn::TimedPlan& plan : timed) fastest = std::min(fastest, plan.seconds);
      sums[t].first += timed[0].seconds;
      sums[t].second += fastest;
      const double flops = 2.0 * double(c.images * c.out_height() * c.out_width() * c.out * c.in * c.kernel * c.kernel);
      std::printf("%-27s %-2s  %-18s %-16s %-4s %4.0f TFLOP/s ", layer.c_str(), result.c_str(),
                  str_cat(Shape{c.images, c.height, c.width, c.in}).c_str(),
                  str_cat(Shape{c.out, c.kernel, c.kernel, c.in}).c_str(), types[t].name,
                  1e-12 * flops / timed[0].seconds);
      for (const cudnn::TimedPlan& plan : timed)
        std::printf("  %lld: %.1f", (long long)plan.facts.engine, 1e6 * plan.seconds);
      std::printf("\n");
    }
  for (size_t t = 0; t < std::size(types); ++t)
    if (sums[t].first > 0)
      std::printf("%s: %.3f ms with the plans in use, %.3f ms with the fastest plans\n", types[t].name,
                  1e3 * sums[t].first, 1e3 * sums[t].second);
}

void plans(const std::vector<std::string>& configs, const std::string& gpu, const std::vector<std::string>& timed) {
  if (!timed.empty()) {
    if (gpu != "here")
      fail("--time: expected --gpu here, because only the GPU of this machine can be timed, got ", gpu);
    for (const std::string& path : configs) print_times(path, timed);
    return;
  }
  std::vector<std::string> missing;
  for (const std::string& path : configs) print_plans(path, gpu, missing);
  for (const std::string& line : missing) std::printf("no plan: %s\n", line.c_str());
  if (!missing.empty()) fail(missing.size(), " passes have no plan; the first is ", missing[0]);
}

#else

void plans(const std::vector<std::string>&, const std::string&, const std::vector<std::string>&) {
  fail("plans: needs cuDNN, but this program was built without it; expected a build with GRADTRACK_CUDA=ON");
}

#endif

}  // namespace

void add_plans_command(CLI::App& app) {
  auto* command = app.add_subcommand("plans", "List the plans by which cuDNN runs a network's convolutions");
  auto configs = std::make_shared<std::vector<std::string>>();
  auto gpu = std::make_shared<std::string>("here");
  command->add_option("configs", *configs, "YAML configurations, see configs/")
      ->required()
      ->type_name("CONFIG.yaml ...");
  command->add_option("--gpu", *gpu, "GPU to plan for: here, or without having one a100, h100 or h200")
      ->capture_default_str();
  auto timed = std::make_shared<std::vector<std::string>>();
  command->add_option("--time", *timed, "time every proposed plan on the GPU of this machine instead")
      ->type_name("f32|tf32|bf16 ...")
      ->check(CLI::IsMember({"f32", "tf32", "bf16"}));
  command->footer(
      "Prints one row per pass. y, dx and dw are the output and the gradients of a layer. x and w are the\n"
      "shapes of its convolution; a transposed convolution is listed as the convolution whose gradient it\n"
      "is. Fails if a pass has no plan, and names it.\n\n"
      "Example:\n"
      "  gradtrack plans configs/kvasir.yaml --gpu h200");
  command->callback([=] { plans(*configs, *gpu, *timed); });
}

}  // namespace gt
