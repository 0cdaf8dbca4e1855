// Convolutions by cuDNN's graph API. Images are (B,H,W,C), weights (K,R,R,C), sums f32. Only engines are used that are
// deterministic and do not round f32 inputs unless the convolution allows it. There is no f64, which cuDNN refuses for
// channels-last images. In an emulated build convolutions run on the CPU (emulated.cpp).
#pragma once

#if GT_CUDA

#include <compare>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace gt::cudnn {

/// A convolution of x (B,H,W,C) with w (K,R,R,C) and zero padding on all sides -> y (B,out_height,out_width,K).
struct Convolution {
  int64_t images, height, width, in, out;  // B, H, W, C, K
  int64_t kernel, padding, stride;
  DType dtype;            // of x, w and y: f32 or bf16; a bias is f32
  bool tf32;              // f32 only: inputs may be rounded to TF32
  int64_t max_workspace;  // bytes

  constexpr int64_t out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  constexpr int64_t out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  auto operator<=>(const Convolution&) const = default;
};

/// y = x * w + bias; bias (K) may be null. Returns whether the bias was added; if not, the caller must add it. This
/// function and the next two run on the device, in the order of the project's stream. They throw Error, naming the
/// convolution and the pass, if there is no plan within max_workspace. If the device lacks memory for a plan's
/// workspace, the next plan with a smaller one is used from then on, and a warning goes to stderr.
bool forward(const Convolution& c, const void* x, const void* w, const void* bias, void* y);
/// dx, the gradient of forward() for x.
void data_gradient(const Convolution& c, const void* dy, const void* w, void* dx);
/// dw, the gradient of forward() for w.
void weight_gradient(const Convolution& c, const void* x, const void* dy, void* dw);

#if !GT_EMULATE

std::ostream& operator<<(std::ostream& out, const Convolution& c);

enum class Pass { forward, forward_with_bias, data_gradient, weight_gradient };

const char* name(Pass pass);

/// The version of the loaded library, as "9.14.0".
std::string version();

/// What a plan consists of.
struct PlanFacts {
  int64_t engine;     // cuDNN's number of it
  int64_t workspace;  // bytes
  bool adds_bias;     // in the same kernel
};

/// The plan for a pass on the GPU that `device` describes (see cudnn_devices.h), which need not exist here. An empty
/// description means this machine's GPU. Throws Error, naming the convolution and the pass, if there is no plan.
PlanFacts find_plan(const Convolution& c, Pass pass, const std::string& device);

/// A plan and its time.
struct TimedPlan {
  PlanFacts facts;
  double seconds;  // the shortest of several consecutive runs
};

/// All usable plans for a pass on this machine's GPU, run on random values, in the order in which cuDNN proposes them.
/// The first one is what forward() and the gradients use. Empty if there is no plan.
std::vector<TimedPlan> time_plans(const Convolution& c, Pass pass);

/// Sets the GPU that dry runs plan for, by its description (see cudnn_devices.h). The default is this machine's GPU.
void set_planned_device(const std::string& description);

#endif

}  // namespace gt::cudnn

#endif
