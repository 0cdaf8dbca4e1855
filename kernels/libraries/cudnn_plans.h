// cuDNN's plans for a convolution pass. For the other cudnn_*.cpp only; cudnn.h has what the ops call.
#pragma once

#include "kernels/libraries/cudnn_graph.h"

#if GT_CUDA && !GT_EMULATE

#include <functional>

namespace gt::cudnn {

/// How a pass is executed.
struct Plan {
  Descriptor descriptor;
  PlanFacts facts;
};

/// Hands the usable plans to `take`, in the order in which cuDNN's heuristics propose them, until it returns true. Last
/// come the fall-back engines, except for a pass with bias: there they are slower than a second kernel. `why` gets the
/// reason of the last refusal.
void each_plan(const Convolution& c, Pass pass, const Target& target, std::string& why,
               const std::function<bool(std::shared_ptr<const Plan>)>& take);

/// The first plan of each_plan(), or for forward_with_bias that of forward if there is none. Throws Error, naming the
/// problem and the pass, if there is none either.
std::shared_ptr<const Plan> make_plan(const Convolution& c, Pass pass, const Target& target);

/// make_plan() for this machine's device, or in a dry run for the one of set_planned_device(). Plans are made on first
/// use and kept. The caller may replace one.
std::shared_ptr<const Plan>& cached_plan(const Convolution& c, Pass pass);

}  // namespace gt::cudnn

#endif
