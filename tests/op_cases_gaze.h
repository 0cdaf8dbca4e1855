// Rows of tests/op_cases.h.
#pragma once

namespace gt {

inline std::vector<OpCase> gaze_cases() { return {}; }

}  // namespace gt
