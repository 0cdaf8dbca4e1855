#include "kernels/cases/op_case.h"

namespace gt {

std::function<Tensors(const Tensors&)> only(size_t output, const std::function<Tensors(const Tensors&)>& op) {
  return [=](const Tensors& x) { return Tensors{op(x)[output]}; };
}

std::vector<OpCase> op_cases() {
  std::vector<OpCase> all = pointwise_cases();
  for (const auto& family : {dense_cases(), map_cases(), gaze_cases()})
    all.insert(all.end(), family.begin(), family.end());
  return all;
}

}  // namespace gt
