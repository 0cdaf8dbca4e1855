// Rows of tests/op_cases.h.
#pragma once

namespace gt {

inline std::vector<OpCase> pointwise_cases() { return {}; }

}  // namespace gt
