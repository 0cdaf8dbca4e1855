#include "kernels/libraries/cudnn.h"

#if GT_CUDA && !GT_EMULATE

#include <cudnn.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <set>
#include <tuple>
#include <vector>

#include "core/cuda.h"
#include "core/dry_run.h"
#include "core/random.h"

static_assert(CUDNN_VERSION >= 90800, "cuDNN 9.8 is the first that plans for described devices");

namespace gt::cudnn {
namespace {

void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char reason[1024] = {};
  cudnnGetLastErrorString(reason, sizeof reason);
  fail("cuDNN: ", what, ": ", cudnnGetErrorString(status), reason[0] == 0 ? "" : ", ", reason);
}

// ---- Descriptors: cuDNN's graphs are made of these ------------------------------------------------------------------

constexpr cudnnBackendAttributeType_t type_of(int64_t) { return CUDNN_TYPE_INT64; }
constexpr cudnnBackendAttributeType_t type_of(float) { return CUDNN_TYPE_FLOAT; }
constexpr cudnnBackendAttributeType_t type_of(bool) { return CUDNN_TYPE_BOOLEAN; }
constexpr cudnnBackendAttributeType_t type_of(void*) { return CUDNN_TYPE_VOID_PTR; }
constexpr cudnnBackendAttributeType_t type_of(cudnnHandle_t) { return CUDNN_TYPE_HANDLE; }
constexpr cudnnBackendAttributeType_t type_of(cudnnDataType_t) { return CUDNN_TYPE_DATA_TYPE; }
constexpr cudnnBackendAttributeType_t type_of(cudnnConvolutionMode_t) { return CUDNN_TYPE_CONVOLUTION_MODE; }
constexpr cudnnBackendAttributeType_t type_of(cudnnPointwiseMode_t) { return CUDNN_TYPE_POINTWISE_MODE; }
constexpr cudnnBackendAttributeType_t type_of(cudnnBackendHeurMode_t) { return CUDNN_TYPE_HEUR_MODE; }
constexpr cudnnBackendAttributeType_t type_of(cudnnBackendNumericalNote_t) { return CUDNN_TYPE_NUMERICAL_NOTE; }

/// A handle: copies are the same descriptor. It keeps those that it is made of.
class Descriptor {
 public:
  Descriptor(cudnnBackendDescriptorType_t type, const char* what) : what_(what) {
    cudnnBackendDescriptor_t raw = nullptr;
    check(cudnnBackendCreateDescriptor(type, &raw), what);
    raw_ = std::shared_ptr<void>(raw, cudnnBackendDestroyDescriptor);
  }
  cudnnBackendDescriptor_t raw() const { return raw_.get(); }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t attribute, std::initializer_list<T> values) {
    put(attribute, type_of(T{}), int64_t(values.size()), values.begin());
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t attribute, std::initializer_list<Descriptor> parts) {
    std::vector<cudnnBackendDescriptor_t> raws;
    for (const Descriptor& part : parts) raws.push_back(part.raw());
    put(attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, int64_t(raws.size()), raws.data());
    parts_.insert(parts_.end(), parts);
    return *this;
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t attribute, const std::vector<T>& values) {
    put(attribute, type_of(T{}), int64_t(values.size()), values.data());
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t attribute, const std::string& json) {
    put(attribute, CUDNN_TYPE_CHAR, int64_t(json.size()), json.data());
    return *this;
  }
  Descriptor& finalize() {
    check(cudnnBackendFinalize(raw()), what_);
    return *this;
  }
  int64_t integer(cudnnBackendAttributeName_t attribute) const {
    int64_t count = 0, value = 0;
    check(cudnnBackendGetAttribute(raw(), attribute, CUDNN_TYPE_INT64, 1, &count, &value), what_);
    GT_CHECK(count == 1, "cuDNN: ", what_, ": expected one number, got ", count);
    return value;
  }

 private:
  void put(cudnnBackendAttributeName_t attribute, cudnnBackendAttributeType_t type, int64_t count, const void* values) {
    check(cudnnBackendSetAttribute(raw(), attribute, type, count, values), what_);
  }
  const char* what_;
  std::shared_ptr<void> raw_;
  std::vector<Descriptor> parts_;
};

/// Where a plan is to run: on the handle's device, or on a described one.
struct Target {
  cudnnHandle_t handle = nullptr;
  std::shared_ptr<const Descriptor> device;
};

Target described(const std::string& json) {
  Descriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device description");
  device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, json).finalize();
  return {nullptr, std::make_shared<const Descriptor>(device)};
}

/// The device that is there.
Target here() {
  static const cudnnHandle_t handle = [] {
    require_device(Device::cuda);
    cudnnHandle_t made = nullptr;
    check(cudnnCreate(&made), "handle");
    check(cudnnSetStream(made, cuda_stream()), "stream");
    return made;  // never destroyed: at exit the driver may be gone first
  }();
  return {handle, nullptr};
}

// ---- Graphs ---------------------------------------------------------------------------------------------------------

cudnnDataType_t data_type(DType dtype) {
  if (dtype == DType::bf16) return CUDNN_DATA_BFLOAT16;
  GT_CHECK(dtype == DType::f32, "cuDNN: expected f32 or bf16, got ", dtype);
  return CUDNN_DATA_FLOAT;
}

/// A tensor of channels-last strides, dimensions in cuDNN's order (N,C,H,W). A virtual one is never in memory.
Descriptor tensor(char id, int64_t n, int64_t c, int64_t h, int64_t w, cudnnDataType_t type, bool is_virtual = false) {
  return Descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "tensor")
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {int64_t(id)})
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, {type})
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, {n, c, h, w})
      .set(CUDNN_ATTR_TENSOR_STRIDES, {c * h * w, int64_t(1), w * c, c})
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, {int64_t(16)})
      .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, {is_virtual})
      .finalize();
}

struct OperationNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t alpha, beta, convolution, w, x, y;
};

constexpr OperationNames forward_names = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
constexpr OperationNames data_gradient_names = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
constexpr OperationNames weight_gradient_names = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};

const OperationNames& names_of(Pass pass) {
  return pass == Pass::data_gradient     ? data_gradient_names
         : pass == Pass::weight_gradient ? weight_gradient_names
                                         : forward_names;
}

Descriptor convolution(const Convolution& c, Pass pass, const Descriptor& x, const Descriptor& w, const Descriptor& y) {
  const Descriptor convolution = Descriptor(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "convolution")
                                     .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, {int64_t(2)})
                                     .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, {CUDNN_DATA_FLOAT})
                                     .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, {CUDNN_CROSS_CORRELATION})
                                     .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {c.padding, c.padding})
                                     .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {c.padding, c.padding})
                                     .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {c.stride, c.stride})
                                     .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {int64_t(1), int64_t(1)})
                                     .finalize();
  const OperationNames& names = names_of(pass);
  return Descriptor(names.type, name(pass))
      .set(names.alpha, {1.f})
      .set(names.beta, {0.f})
      .set(names.convolution, {convolution})
      .set(names.x, {x})
      .set(names.w, {w})
      .set(names.y, {y})
      .finalize();
}

/// y = sum + bias
Descriptor bias_addition(const Descriptor& sum, const Descriptor& bias, const Descriptor& y) {
  const Descriptor add = Descriptor(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "addition")
                             .set(CUDNN_ATTR_POINTWISE_MODE, {CUDNN_POINTWISE_ADD})
                             .set(CUDNN_ATTR_POINTWISE_MATH_PREC, {CUDNN_DATA_FLOAT})
                             .finalize();
  return Descriptor(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "bias addition")
      .set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, {add})
      .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, {sum})
      .set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, {bias})
      .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, {y})
      .finalize();
}

/// Tensors are called 'x', 'w', 'b' (bias) and 'y'; gradients as what they are gradients of.
Descriptor graph(const Convolution& c, Pass pass, const Target& target) {
  const cudnnDataType_t type = data_type(c.dtype);
  const Descriptor x = tensor('x', c.images, c.in, c.height, c.width, type);
  const Descriptor w = tensor('w', c.out, c.in, c.kernel, c.kernel, type);
  const Descriptor y = tensor('y', c.images, c.out, c.out_height(), c.out_width(), type);
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "graph");
  if (target.handle != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, {target.handle});
  if (pass != Pass::forward_with_bias)
    return graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, {convolution(c, pass, x, w, y)}).finalize();
  const Descriptor sum = tensor('s', c.images, c.out, c.out_height(), c.out_width(), CUDNN_DATA_FLOAT, true);
  const Descriptor bias = tensor('b', 1, c.out, 1, 1, CUDNN_DATA_FLOAT);
  return graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, {convolution(c, pass, x, w, sum), bias_addition(sum, bias, y)})
      .finalize();
}

// ---- Plans ----------------------------------------------------------------------------------------------------------

struct Plan {
  Descriptor descriptor;
  PlanFacts facts;
};

/// The engine configurations that cuDNN proposes, best first; often none, which is no error to it.
std::vector<Descriptor> proposals(const Descriptor& graph, cudnnBackendHeurMode_t mode, const Target& target) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristics");
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, {graph}).set(CUDNN_ATTR_ENGINEHEUR_MODE, {mode});
  if (target.device != nullptr) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, {*target.device});
  heuristics.finalize();
  int64_t count = 0;
  check(cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0,
                                 &count, nullptr),
        "heuristics");
  std::vector<Descriptor> configurations;
  std::vector<cudnnBackendDescriptor_t> raws;
  for (int64_t i = 0; i < count; ++i) {
    configurations.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "engine configuration");
    raws.push_back(configurations.back().raw());
  }
  check(cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count,
                                 &count, raws.data()),
        "heuristics");
  configurations.erase(configurations.begin() + count, configurations.end());
  return configurations;
}

Descriptor engine_of(const Descriptor& configuration) {
  const Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR, "engine");
  int64_t count = 0;
  cudnnBackendDescriptor_t raw = engine.raw();
  check(cudnnBackendGetAttribute(configuration.raw(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                 &count, &raw),
        "engine");
  GT_CHECK(count == 1, "cuDNN: a configuration of ", count, " engines");
  return engine;
}

/// Deterministic, sums in f32, and for f32 no rounding or transform that loses digits.
bool is_wanted(const Descriptor& engine, const Convolution& c) {
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  int64_t count = 0;
  check(cudnnBackendGetAttribute(engine.raw(), CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes),
        "engine");
  std::set<cudnnBackendNumericalNote_t> refused = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC,
                                                   CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION};
  if (c.dtype == DType::f32 && !c.tf32)
    refused.insert({CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
                    CUDNN_NUMERICAL_NOTE_FFT, CUDNN_NUMERICAL_NOTE_WINOGRAD});
  for (int64_t i = 0; i < count; ++i)
    if (refused.contains(notes[i])) return false;
  return true;
}

/// The plan for one proposal; null if the engine is not wanted or cannot be planned, for which `why` gets the reason.
std::shared_ptr<const Plan> plan_of(const Descriptor& configuration, const Convolution& c, Pass pass,
                                    const Target& target, std::string& why) {
  try {
    const Descriptor engine = engine_of(configuration);
    if (!is_wanted(engine, c)) return nullptr;
    Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "plan");
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, {configuration});
    if (target.handle != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, {target.handle});
    if (target.device != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, {*target.device});
    plan.finalize();
    const PlanFacts facts = {engine.integer(CUDNN_ATTR_ENGINE_GLOBAL_INDEX),
                             plan.integer(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE), pass == Pass::forward_with_bias};
    return std::make_shared<const Plan>(Plan{plan, facts});
  } catch (const Error& e) {
    why = e.what();
    return nullptr;
  }
}

/// Hands `take` the plans that work, in the order in which the heuristics propose them, until it returns true. Behind
/// those come the fall-back engines, but for a sum with a bias: they are slower than a second kernel.
void each_plan(const Convolution& c, Pass pass, const Target& target, std::string& why,
               const std::function<bool(std::shared_ptr<const Plan>)>& take) {
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    if (mode == CUDNN_HEUR_MODE_FALLBACK && pass == Pass::forward_with_bias) break;
    std::vector<Descriptor> all;
    try {
      all = proposals(graph(c, pass, target), mode, target);
    } catch (const Error& e) {  // cuDNN refuses the graph
      why = e.what();
    }
    for (const Descriptor& configuration : all)
      if (auto plan = plan_of(configuration, c, pass, target, why); plan != nullptr && take(plan)) return;
  }
}

/// Null if there is none.
std::shared_ptr<const Plan> first_plan(const Convolution& c, Pass pass, const Target& target, std::string& why) {
  std::shared_ptr<const Plan> first;
  each_plan(c, pass, target, why, [&](std::shared_ptr<const Plan> plan) {
    first = std::move(plan);
    return true;
  });
  return first;
}

std::shared_ptr<const Plan> make_plan(const Convolution& c, Pass pass, const Target& target) {
  std::string why = "no engine does it deterministically and in the precision asked for";
  if (pass == Pass::forward_with_bias) {
    if (auto plan = first_plan(c, pass, target, why)) return plan;
    pass = Pass::forward;
  }
  auto plan = first_plan(c, pass, target, why);
  if (plan == nullptr) fail("cuDNN has no plan for the ", name(pass), " of ", c, ": ", why);
  return plan;
}

/// The device of dry runs; empty for the one that is here.
std::string& planned_device() {
  static auto& description = *new std::string;
  return description;
}

/// For the device of this description. Made on first use, kept until the process ends. Never freed: at exit the driver
/// may be gone first.
const Plan& cached_plan(const Convolution& c, Pass pass, const std::string& device) {
  static auto& plans = *new std::map<std::tuple<std::string, Convolution, Pass>, std::shared_ptr<const Plan>>;
  std::shared_ptr<const Plan>& plan = plans[{device, c, pass}];
  if (plan == nullptr) plan = make_plan(c, pass, device.empty() ? here() : described(device));
  return *plan;
}

struct Argument {
  char id;  // its tensor's in the graph
  const void* data;
};

/// Starts the plan on the project's stream.
void start(const Plan& plan, const Convolution& c, Pass pass, const std::vector<Argument>& arguments,
           const Tensor& workspace) {
  std::vector<int64_t> ids;
  std::vector<void*> pointers;
  for (const Argument& a : arguments) {
    if (a.id == 'b' && !plan.facts.adds_bias) continue;
    ids.push_back(a.id);
    pointers.push_back(const_cast<void*>(a.data));
  }
  const Descriptor pack = Descriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "arguments")
                              .set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids)
                              .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
                              .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, {workspace.raw()})
                              .finalize();
  const cudnnStatus_t status = cudnnBackendExecute(here().handle, plan.descriptor.raw(), pack.raw());
  if (status != CUDNN_STATUS_SUCCESS) check(status, str_cat(name(pass), " of ", c).c_str());
}

Tensor workspace_of(const Plan& plan) { return Tensor({plan.facts.workspace}, DType::u8, Device::cuda); }

/// Runs the plan; a dry run only takes its workspace. Returns whether it adds the bias.
bool run(const Convolution& c, Pass pass, const std::vector<Argument>& arguments) {
  static std::mutex one_at_a_time;  // a handle is for one thread
  const std::lock_guard lock(one_at_a_time);
  const Plan& plan = cached_plan(c, pass, dry_run() ? planned_device() : "");
  const Tensor workspace = workspace_of(plan);
  if (current_profile != nullptr) count_launch(Launched::library_call);
  if (!dry_run()) start(plan, c, pass, arguments, workspace);
  return plan.facts.adds_bias;
}

/// Values in [-1,1): a GPU that multiplies zeros draws less power and is faster.
Tensor random_values(const Shape& shape, DType dtype) {
  Random random(1);
  Tensor some({1 << 16});
  for (int64_t i = 0; i < some.size(); ++i) some.data<float>()[i] = float(int32_t(random.bits())) * 0x1p-31f;
  const Tensor source = some.cast(dtype), all(shape, dtype, Device::cuda);
  for (size_t at = 0; at < all.bytes(); at += source.bytes())
    copy_bytes(static_cast<char*>(all.raw()) + at, Device::cuda, source.raw(), Device::cpu,
               std::min(source.bytes(), all.bytes() - at));
  return all;
}

}  // namespace

const char* name(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return "forward";
    case Pass::forward_with_bias:
      return "forward with bias";
    case Pass::data_gradient:
      return "data gradient";
    case Pass::weight_gradient:
      return "weight gradient";
  }
  return "?";
}

std::ostream& operator<<(std::ostream& out, const Convolution& c) {
  return out << "convolution of x " << Shape{c.images, c.height, c.width, c.in} << " with w "
             << Shape{c.out, c.kernel, c.kernel, c.in} << ", padding " << c.padding << ", stride " << c.stride << ", "
             << c.dtype << (c.tf32 ? " by TF32" : "");
}

std::string version() {
  const size_t v = cudnnGetVersion();
  return str_cat(v / 10000, ".", v / 100 % 100, ".", v % 100);
}

PlanFacts find_plan(const Convolution& c, Pass pass, const std::string& device) {
  return make_plan(c, pass, device.empty() ? here() : described(device))->facts;
}

std::vector<TimedPlan> time_plans(const Convolution& c, Pass pass) {
  constexpr int runs = 5;
  const Tensor x = random_values({c.images, c.height, c.width, c.in}, c.dtype);
  const Tensor w = random_values({c.out, c.kernel, c.kernel, c.in}, c.dtype);
  const Tensor y = random_values({c.images, c.out_height(), c.out_width(), c.out}, c.dtype);
  const Tensor bias = random_values({c.out}, DType::f32);
  std::vector<Argument> arguments = {{'x', x.raw()}, {'w', w.raw()}, {'y', y.raw()}};
  if (pass == Pass::forward_with_bias) arguments.push_back({'b', bias.raw()});
  std::vector<TimedPlan> timed;
  std::string why;
  each_plan(c, pass, here(), why, [&](const std::shared_ptr<const Plan>& plan) {
    const Tensor workspace = workspace_of(*plan);
    double least = std::numeric_limits<double>::infinity();
    for (int i = 0; i <= runs; ++i) {
      synchronize(Device::cuda);
      const auto begin = std::chrono::steady_clock::now();
      start(*plan, c, pass, arguments, workspace);
      synchronize(Device::cuda);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      if (i > 0) least = std::min(least, took.count());  // the first one gets ready
    }
    timed.push_back({plan->facts, least});
    return false;
  });
  return timed;
}

void set_planned_device(const std::string& device) { planned_device() = device; }

bool forward(const Convolution& c, const void* x, const void* w, const void* bias, void* y) {
  return run(c, bias == nullptr ? Pass::forward : Pass::forward_with_bias, {{'x', x}, {'w', w}, {'b', bias}, {'y', y}});
}

void data_gradient(const Convolution& c, const void* dy, const void* w, void* dx) {
  run(c, Pass::data_gradient, {{'y', dy}, {'w', w}, {'x', dx}});
}

void weight_gradient(const Convolution& c, const void* x, const void* dy, void* dw) {
  run(c, Pass::weight_gradient, {{'x', x}, {'y', dy}, {'w', dw}});
}

}  // namespace gt::cudnn

#endif
