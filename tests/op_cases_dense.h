// Rows of tests/op_cases.h.
#pragma once

namespace gt {

inline std::vector<OpCase> dense_cases() { return {}; }

}  // namespace gt
