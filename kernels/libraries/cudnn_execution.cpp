#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <mutex>
#include <ostream>

#include "core/dry_run.h"
#include "core/random.h"
#include "kernels/libraries/cudnn_plans.h"

#if GT_CUDA && !GT_EMULATE

namespace gt::cudnn {
namespace {

struct Argument {
  char id;  // of its tensor in the graph
  const void* data;
};

/// Starts the plan on the project's stream. A bias that the plan does not add is left out.
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
  const cudnnStatus_t status = cudnnBackendExecute(local_device().handle, plan.descriptor.raw(), pack.raw());
  if (status != CUDNN_STATUS_SUCCESS) check(status, str_cat(name(pass), " of ", c).c_str());
}

Tensor workspace_of(const Plan& plan) { return Tensor({plan.facts.workspace}, DType::u8, Device::cuda); }

/// The workspace of the cached plan. If the device lacks the memory, the next plan that takes less replaces it.
Tensor workspace_of_cached_plan(const Convolution& c, Pass pass) {
  for (;;) {
    std::shared_ptr<const Plan>& plan = cached_plan(c, pass);
    try {
      return workspace_of(*plan);
    } catch (const OutOfDeviceMemory&) {
      if (plan->facts.workspace == 0) throw;
      Convolution smaller = c;
      smaller.max_workspace = plan->facts.workspace - 1;
      plan = make_plan(smaller, pass, local_device());
      std::fprintf(stderr,
                   "warning: no memory for cuDNN's workspace; another plan with %lld bytes is used for the %s of %s\n",
                   (long long)plan->facts.workspace, name(pass), str_cat(c).c_str());
    }
  }
}

/// Runs the pass; a dry run only takes its workspace. Returns whether the plan adds the bias.
bool run(const Convolution& c, Pass pass, const std::vector<Argument>& arguments) {
  static std::mutex mutex;  // a handle serves one thread at a time
  const std::lock_guard lock(mutex);
  const Tensor workspace = workspace_of_cached_plan(c, pass);
  const Plan& plan = *cached_plan(c, pass);
  if (current_profile != nullptr) profiling::count_device_call(profiling::DeviceCall::library_call);
  if (!dry_run()) start(plan, c, pass, arguments, workspace);
  return plan.facts.adds_bias;
}

/// Random values in [-1,1). Zeros would not do: a GPU that multiplies them draws less power and is faster.
Tensor random_values(const Shape& shape, DType dtype) {
  Random random(1);
  Tensor some({1 << 16});
  for (int64_t i = 0; i < some.size(); ++i) some.data<float>()[i] = float(int32_t(random.bits())) * 0x1p-31f;
  const Tensor source = some.cast(dtype);
  Tensor all(shape, dtype, Device::cuda);
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
  each_plan(c, pass, local_device(), why, [&](const std::shared_ptr<const Plan>& plan) {
    const Tensor workspace = workspace_of(*plan);
    double shortest = std::numeric_limits<double>::infinity();
    for (int i = 0; i <= runs; ++i) {
      synchronize(Device::cuda);
      const auto begin = std::chrono::steady_clock::now();
      start(*plan, c, pass, arguments, workspace);
      synchronize(Device::cuda);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      if (i > 0) shortest = std::min(shortest, took.count());  // the first run is a warm-up
    }
    timed.push_back({plan->facts, shortest});
    return false;
  });
  return timed;
}

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
