// Convolutions by cuDNN's graph API: a problem, its passes, and the plan for each. Images are NHWC, weights are
// (K,R,R,C), sums are f32. Taken are only engines that give the same bits every time and that do not round f32 inputs
// unless the problem allows it. f64 is not there: cuDNN refuses it for NHWC.
// In an emulated build the same functions run on the CPU (libraries_emulated.cpp).
#pragma once

#if GT_CUDA

#include <compare>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace gt::cudnn {

/// A convolution of x (B,H,W,C) with w (K,R,R,C), zero padding on all sides: y (B,out_height,out_width,K).
struct Convolution {
  int64_t images, height, width, in, out;  // B, H, W, C, K
  int64_t kernel, padding, stride;
  DType dtype;  // of x, w and y: f32 or bf16; a bias is f32
  bool tf32;    // f32 only: inputs may be rounded to TF32

  constexpr int64_t out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  constexpr int64_t out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  auto operator<=>(const Convolution&) const = default;
};

/// y = x * w, plus bias (K) unless that is null. Returns false where no plan adds the bias: then it is still to be
/// added. This and the next two run on the device, in order with all else there; they throw Error if there is no plan.
bool forward(const Convolution& c, const void* x, const void* w, const void* bias, void* y);
void data_gradient(const Convolution& c, const void* dy, const void* w, void* dx);
void weight_gradient(const Convolution& c, const void* x, const void* dy, void* dw);

#if !GT_EMULATE

std::ostream& operator<<(std::ostream& out, const Convolution& c);

enum class Pass { forward, forward_with_bias, data_gradient, weight_gradient };

const char* name(Pass pass);

/// Of the library that is loaded.
std::string version();

/// What cuDNN chose.
struct PlanFacts {
  int64_t engine;     // cuDNN's number
  int64_t workspace;  // bytes
  bool adds_bias;     // in the same kernel
};

/// The plan for one pass on the GPU that `device` describes (see cudnn_devices.h), which need not be there; an empty
/// description is the GPU that is. Throws Error, naming the problem and the pass, if there is no plan.
PlanFacts find_plan(const Convolution& c, Pass pass, const std::string& device);

/// A plan, and how long it takes.
struct TimedPlan {
  PlanFacts facts;
  double seconds;  // the least of several runs one after the other
};

/// All plans for one pass that could be taken on the GPU that is here, in the order in which cuDNN proposes them: the
/// first is the one that is taken. Each is run on random values. None where there is none.
std::vector<TimedPlan> time_plans(const Convolution& c, Pass pass);

/// What dry runs plan for, described in the same way; at first the GPU that is here.
void set_planned_device(const std::string& device);

#endif

}  // namespace gt::cudnn

#endif
