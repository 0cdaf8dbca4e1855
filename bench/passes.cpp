#include "bench/passes.h"

#include <algorithm>
#include <charconv>

#include "core/autograd.h"

namespace gt {

bool has_gradients(const Tensors& inputs) {
  return std::any_of(inputs.begin(), inputs.end(), [](const Tensor& x) { return x.defined() && x.requires_grad(); });
}

std::function<void()> forward_pass(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs) {
  return [=] {
    const NoGrad no_grad;
    op(inputs);
  };
}

std::function<void()> both_passes(const std::function<Tensors(const Tensors&)>& op, const Tensors& inputs) {
  Tensors ones;
  for (const Tensor& y : op(inputs))
    if (y.defined() && y.requires_grad()) ones.push_back(Tensor::full(y.shape(), 1, y.dtype()).to(y.device()));
  return [=] {
    for (Tensor x : inputs)
      if (x.defined()) x.clear_grad();
    Tensors outputs;
    for (const Tensor& y : op(inputs))
      if (y.defined() && y.requires_grad()) outputs.push_back(y);
    backward(record("all outputs", Tensor::zeros({}), outputs, [&](const Tensor&) { return ones; }));
  };
}

std::string size_label(const Sizes& sizes) {
  std::string all;
  for (const int64_t s : sizes) all += (all.empty() ? "" : "x") + std::to_string(s);
  return all;
}

Sizes read_sizes(const std::string& text, const Sizes& like, const std::string& row) {
  Sizes sizes;
  const char *at = text.data(), *const end = at + text.size();
  while (at < end) {
    int64_t size = 0;
    const auto [next, error] = std::from_chars(at, end, size);
    if (error != std::errc{} || size < 1 || size > 1'000'000'000 || (next < end && (*next != 'x' || next + 1 == end)))
      break;
    sizes.push_back(size);
    at = next + (next < end);
  }
  if (at != end || sizes.size() != like.size())
    fail("--sizes ", text, ": expected ", like.size(), " numbers above 0 for ", row, ", as in ", size_label(like));
  return sizes;
}

}  // namespace gt
