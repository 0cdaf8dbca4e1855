// Benchmark rows of a training step's functions without a gradient, which the op table lacks.
#pragma once

#include "kernels/cases/op_case.h"

namespace gt {

/// One step of an optimiser, in place. Sizes: number of tensors, values of each. `lists` counts the lists of tensors:
/// parameters, gradients and states.
inline OpCase update_case(const std::string& name, int64_t lists, const Tensor& rates,
                          std::function<void(const std::vector<Tensors>&, const Tensor&)> update) {
  OpCase c;
  c.name = name;
  c.sizes = {{3, 37}};
  c.large = {{80, 400000}};
  c.inputs = [=](const Sizes& s, Maker& m) {
    Tensors all;
    for (int64_t i = 0; i < lists * s[0]; ++i) all.push_back(m.uniform({s[1]}, 0.1, 0.2));
    return all;
  };
  c.op = [=](const Tensors& all) -> Tensors {
    std::vector<Tensors> of(size_t(lists), Tensors{});
    const size_t each = all.size() / size_t(lists);
    for (size_t i = 0; i < all.size(); ++i) of[i / each].push_back(all[i]);
    update(of, rates);
    return of[0];
  };
  // Reads all lists and writes all but the gradients.
  c.cost = [=](const Sizes& s) { return Cost{4.0 * double((2 * lists - 1) * s[0] * s[1]), 0}; };
  return c;
}

/// The norm of all gradients. Sizes as in update_case().
inline OpCase clip_case() {
  OpCase c = update_case("clip_by_norm", 1, {}, [](const std::vector<Tensors>& x, const Tensor&) {
    clip_by_norm(x[0], 1, Tensor({2}, DType::f64, x[0][0].device()));
  });
  c.cost = [](const Sizes& s) { return Cost{4.0 * double(s[0] * s[1]), 2.0 * double(s[0] * s[1])}; };
  return c;
}

/// Augmentation by a flip and a change of colour. Sizes: images, side.
inline OpCase augment_case() {
  OpCase c;
  c.name = "augment";
  c.sizes = {{2, 9}};
  c.large = {{8, 224}, {64, 224}};
  c.inputs = [](const Sizes& s, Maker& m) -> Tensors {
    Tensor images({s[0], s[1], s[1], 3}, DType::u8);
    for (int64_t i = 0; i < images.size(); ++i) images.data<uint8_t>()[i] = uint8_t(m.random.below(256));
    Tensor geometry = Tensor::zeros({s[0], 2, 3});
    for (int64_t b = 0; b < s[0]; ++b) {  // x -> 1 - x
      float* g = geometry.data<float>() + 6 * b;
      g[0] = -1, g[2] = 1, g[4] = 1;
    }
    return {images, geometry, m.compute(m.uniform({s[0], 3, 4}, 0.5, 1.5))};
  };
  c.op = [](const Tensors& x) -> Tensors { return {augment(x[0], x[1], x[2])}; };
  c.cost = [](const Sizes& s) { return Cost{double(s[0] * s[1] * s[1] * 3) * (1 + 4), 0}; };
  return c;
}

/// All rows.
inline std::vector<OpCase> step_cases() {
  return {update_case("sgd_step", 3, sgd_rates(1e-6, 0.9, 1e-4),
                      [](const std::vector<Tensors>& x, const Tensor& rates) { sgd_step(x[0], x[1], x[2], rates); }),
          update_case(
              "adamw_step", 4, adamw_rates(10, 1e-6, 1e-4),
              [](const std::vector<Tensors>& x, const Tensor& rates) { adamw_step(x[0], x[1], x[2], x[3], rates); }),
          update_case("average_step", 2, average_rates(0.999),
                      [](const std::vector<Tensors>& x, const Tensor& rates) { average_step(x[0], x[1], rates); }),
          clip_case(), augment_case()};
}

}  // namespace gt
