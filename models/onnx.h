// Trained networks as ONNX files, for other programs.
#pragma once

#include <string>

#include "models/checkpoint.h"

namespace gt {

/// Whether this build writes ONNX: if it found libonnx-dev and libprotobuf-dev.
bool onnx_built();

/// "built" with the versions of format and library, or the reason why this build writes no ONNX.
std::string onnx_state();

/// The bytes of an ONNX file (opset 17) with the network's prediction. S is data.size, C data.channels.
///   image              (batch,C,S,S) input, values in [0,1]; the graph normalises it as the data set was
///   logits             (batch,1,S,S)
///   probability        (batch,1,S,S) of foreground
///   attention_1 to _4  (batch,1,H_l,W_l) Track Attention, coarsest first, of recipes that have it
/// Its metadata are strings: recipe, gaze, size, channels, normalize, version and warning (if the network was chosen by
/// its scores on the test split). The network must be on the CPU. Throws Error if this build writes no ONNX, or, naming
/// the op, for a network that uses what ONNX lacks.
std::string onnx_file(const LoadedModel& loaded);

}  // namespace gt
