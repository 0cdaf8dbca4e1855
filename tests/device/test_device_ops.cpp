// Every row of the op table (kernels/cases) on device cuda, real or emulated, each check as a separate test.
#include <algorithm>
#include <array>

#include "tests/op_checks.h"
#if GT_EMULATE
#include "core/emulation/emulation.h"
#endif

using namespace gt;

namespace {

Tensors results(const OpCase& c, const Sizes& sizes, DType dtype, Device device) {
  const Tensors all = run_with_gradients(c.op, inputs_of(c, sizes, dtype, device), Random(5));
  REQUIRE(all.size() >= 2);  // an output and a gradient
  return all;
}

/// The reference for bf16: values and gradients in f32 on the CPU, of inputs that are rounded to bf16.
Tensors f32_results_of_bf16_inputs(const OpCase& c, const Sizes& sizes) {
  Tensors inputs = inputs_of(c, sizes, DType::bf16);
  for (Tensor& x : inputs)
    if (x.defined() && x.dtype() == DType::bf16) x = x.cast(DType::f32).set_requires_grad(x.requires_grad());
  return run_with_gradients(c.op, inputs, Random(5));
}

void check_close(const std::string& what, DType dtype, const Tensors& got, const Tensors& expected, double tolerance) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    INFO(what << " " << dtype << " result " << i << " " << expected[i].shape());
    CHECK(relative_difference(got[i], expected[i], min_scale(expected)) < tolerance);
  }
}

void check_against_cpu(const OpCase& c) {
  for (const Sizes& sizes : c.sizes) {
    const std::string what = str_cat("sizes ", Shape(sizes));
    for (const DType dtype : {DType::f32, DType::f64})
      check_close(what, dtype, results(c, sizes, dtype, Device::cuda), results(c, sizes, dtype, Device::cpu),
                  dtype == DType::f32 ? c.f32_tolerance : 1e-12);
    if (c.bf16_activations)
      check_close(what, DType::bf16, results(c, sizes, DType::bf16, Device::cuda), f32_results_of_bf16_inputs(c, sizes),
                  2e-2);
  }
}

void check_gradients_of(const OpCase& c) { check_op_gradients(c, Device::cuda, 5); }

void check_same_bits(const OpCase& c) {
  for (const Sizes& sizes : c.sizes) {
    const Tensors first = results(c, sizes, DType::f32, Device::cuda);
    const auto again = [&](const std::string& how) {
      const Tensors second = results(c, sizes, DType::f32, Device::cuda);
      REQUIRE(first.size() == second.size());
      for (size_t i = 0; i < first.size(); ++i) {
        INFO("sizes " << Shape(sizes) << " result " << i << " " << first[i].shape() << " " << how);
        CHECK(same_bits(first[i], second[i]));
      }
    };
#if GT_EMULATE
    const emulation::Options before = emulation::options();
    const auto in_order = [&](emulation::Order order, uint32_t seed) {
      emulation::options().order = order;
      emulation::options().seed = seed;
      again(str_cat("order ", int(order), " seed ", seed));
    };
    in_order(emulation::Order::forward, 1);
    in_order(emulation::Order::reverse, 1);
    for (uint32_t seed = 1; seed <= 5; ++seed) in_order(emulation::Order::shuffled, seed);
    emulation::options() = before;
#else
    again("second run");
#endif
  }
}

void check_memory(const OpCase& c) {
  const int64_t before = live_bytes();
  results(c, c.sizes.back(), DType::f32, Device::cuda);
  CHECK(live_bytes() == before);
}

#if GT_EMULATE
void check_races(const OpCase& c) {
  emulation::clear_races();
  for (const Sizes& sizes : c.sizes) results(c, sizes, DType::f32, Device::cuda);
  for (const std::string& race : emulation::races()) FAIL_CHECK(race);
}
#endif

/// Ops whose blocks wait for each other if the device holds all of them at once.
bool has_grid_barrier(const OpCase& c) { return c.name.starts_with("group_norm") || c.name == "splat_normalized"; }

#if GT_EMULATE
void check_few_blocks(const OpCase& c) {
  const emulation::Options before = emulation::options();
  emulation::clear_races();
  for (const Sizes& sizes : c.sizes)
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      if (dtype == DType::bf16 && !c.bf16_activations) continue;
      const Tensors with_barrier = results(c, sizes, dtype, Device::cuda);
      for (const size_t blocks : {1, 5}) {
        emulation::options().blocks_at_once = blocks;
        const Tensors without = results(c, sizes, dtype, Device::cuda);
        emulation::options() = before;
        check_close(str_cat("sizes ", Shape(sizes), ", ", blocks, " blocks"), dtype, without, with_barrier,
                    dtype == DType::f64   ? 1e-12
                    : dtype == DType::f32 ? 1e-5
                                          : 1e-2);
      }
    }
  for (const std::string& race : emulation::races()) FAIL_CHECK(race);
}
#else
void check_training_size(const OpCase& c) {
  const Sizes sizes =
      c.bf16_activations ? Sizes{3, 224, 224, 128, 4} : Sizes{64, 40, 28, 28, 56, 56, 112, 112, 224, 224};
  check_close("", DType::f32, results(c, sizes, DType::f32, Device::cuda), results(c, sizes, DType::f32, Device::cpu),
              1e-4);
  if (c.bf16_activations)
    check_close("", DType::bf16, results(c, sizes, DType::bf16, Device::cuda), f32_results_of_bf16_inputs(c, sizes),
                2e-2);
}
#endif

const std::vector<OpCheck> checks = {
    {"values and gradients agree with the CPU", "[device][agrees]", check_against_cpu},
    {"gradients match finite differences", "[device][gradients]", check_gradients_of},
    {"every run and every order of threads gives the same bits", "[device][bits]", check_same_bits},
    {"frees all memory", "[device][memory]", check_memory},
#if GT_EMULATE
    {"has no data race", "[device][races]", check_races, [](const OpCase&) { return emulation::detects_races(); }},
    {"agrees with itself if the device holds few blocks at once", "[device][barrier]", check_few_blocks,
     has_grid_barrier},
#else
    {"agrees with the CPU at the size of a training step", "[device][barrier]", check_training_size,
     [](const OpCase& c) { return c.name == "group_norm" || c.name == "splat_normalized"; }},
#endif
};

const GeneratedTests tests_of_ops([] {
  add_op_tests("device: ", checks);
#if GT_EMULATE
  if (!emulation::detects_races())
    add_test("device: every op has no data race", "[device][races]",
             [] { GT_SKIP_TEST("built without the race detector (GRADTRACK_RACES=ON)"); });
#endif
});

}  // namespace

TEST_CASE("device: the ops with a grid barrier are in the op table", "[device]") {
  CHECK(std::count_if(op_table().begin(), op_table().end(), has_grid_barrier) == 3);
}

TEST_CASE("device: tensors are copied, filled and converted", "[device]") {
  const Tensor x = Tensor::of<float>({2, 3}, {1.5f, -2, 3, 300, 0, 1e-3f});
  const Tensor on_cuda = x.to(Device::cuda);
  CHECK(on_cuda.device() == Device::cuda);
  CHECK(on_cuda.values<float>() == x.values<float>());
  CHECK(on_cuda.clone().values<float>() == x.values<float>());
  CHECK(same_bits(on_cuda.cast(DType::bf16), x.cast(DType::bf16)));
  CHECK(on_cuda.cast(DType::i32).values<int32_t>() == x.cast(DType::i32).values<int32_t>());
  CHECK(Tensor::full({5}, 2.5, DType::bf16, Device::cuda).cast(DType::f64).values<double>() ==
        std::vector<double>(5, 2.5));
  CHECK(Tensor::zeros({0, 4}, DType::f32, Device::cuda).values<float>().empty());
  CHECK(Tensor::full({1}, 7, DType::i32, Device::cuda).item() == 7);
}
