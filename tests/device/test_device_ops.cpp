// Every row of op_cases.h on device cuda, real or emulated, against the CPU.
#include <array>

#include "kernels/cases/check_op.h"
#include "tests/device/device.h"
#if GT_EMULATE
#include "core/emulation/emulation.h"
#endif

using namespace gt;

namespace {

Tensors results(const OpCase& c, const Sizes& sizes, DType dtype, Device device) {
  return run_with_gradients(c.op, inputs_of(c, sizes, dtype, device), Random(5));
}

/// A row's values and gradients in bf16 on the CPU are those in f32 of the same, rounded, inputs.
Tensors f32_results_of_bf16_inputs(const OpCase& c, const Sizes& sizes) {
  Tensors inputs = inputs_of(c, sizes, DType::bf16);
  for (Tensor& x : inputs)
    if (x.defined() && x.dtype() == DType::bf16) x = x.cast(DType::f32).set_requires_grad(x.requires_grad());
  return run_with_gradients(c.op, inputs, Random(5));
}

void check_close(const OpCase& c, DType dtype, const Tensors& device, const Tensors& cpu, double tolerance) {
  REQUIRE(device.size() == cpu.size());
  for (size_t i = 0; i < cpu.size(); ++i) {
    INFO(c.name << " " << dtype << " result " << i << " " << cpu[i].shape());
    CHECK(relative_difference(device[i], cpu[i], min_scale(cpu)) < tolerance);
  }
}

}  // namespace

TEST_CASE("device: every op agrees with the CPU, values and gradients", "[device]") {
  if (no_device()) return;
  for (const OpCase& c : op_cases())
    for (const Sizes& sizes : c.sizes) {
      for (const DType dtype : {DType::f32, DType::f64})
        check_close(c, dtype, results(c, sizes, dtype, Device::cuda), results(c, sizes, dtype, Device::cpu),
                    dtype == DType::f32 ? c.f32_tolerance : 1e-12);
      if (c.bf16_activations)
        check_close(c, DType::bf16, results(c, sizes, DType::bf16, Device::cuda), f32_results_of_bf16_inputs(c, sizes),
                    2e-2);
    }
}

TEST_CASE("device: gradients of every op match finite differences in double", "[device]") {
  if (no_device()) return;
  for (const OpCase& c : op_cases())
    for (const Sizes& sizes : c.sizes) {
      const GradCheck result = check_gradients(c, sizes, Device::cuda, 5);
      INFO(c.name << ": " << result.where);
      CHECK(result.worst < 1e-6);
    }
}

TEST_CASE("device: every op gives the same bits again, in any order of threads", "[device]") {
  if (no_device()) return;
#if GT_EMULATE
  const emulation::Options before = emulation::options();
  const auto orders = std::array{emulation::Order::forward, emulation::Order::reverse, emulation::Order::shuffled};
  constexpr uint32_t seeds = 5;
#endif
  for (const OpCase& c : op_cases())
    for (const Sizes& sizes : c.sizes) {
      const Tensors first = results(c, sizes, DType::f32, Device::cuda);
      const auto again = [&](const std::string& how) {
        const Tensors second = results(c, sizes, DType::f32, Device::cuda);
        REQUIRE(first.size() == second.size());
        for (size_t i = 0; i < first.size(); ++i) {
          INFO(c.name << " result " << i << " " << first[i].shape() << " " << how);
          CHECK(same_bits(first[i], second[i]));
        }
      };
#if GT_EMULATE
      for (const emulation::Order order : orders)
        for (uint32_t seed = 1; seed <= (order == emulation::Order::shuffled ? seeds : 1); ++seed) {
          emulation::options().order = order;
          emulation::options().seed = seed;
          again(str_cat("order ", int(order), " seed ", seed));
        }
      emulation::options() = before;
#else
      again("once more");
#endif
    }
}

TEST_CASE("device: every op gives its memory back", "[device]") {
  if (no_device()) return;
  for (const OpCase& c : op_cases()) {
    const int64_t before = live_bytes();
    results(c, c.sizes.back(), DType::f32, Device::cuda);
    INFO(c.name);
    CHECK(live_bytes() == before);
  }
}

TEST_CASE("device: tensors move there and back, and are filled and converted there", "[device]") {
  if (no_device()) return;
  const Tensor here = Tensor::of<float>({2, 3}, {1.5f, -2, 3, 300, 0, 1e-3f});
  const Tensor there = here.to(Device::cuda);
  CHECK(there.device() == Device::cuda);
  CHECK(there.values<float>() == here.values<float>());
  CHECK(there.clone().values<float>() == here.values<float>());
  CHECK(same_bits(there.cast(DType::bf16), here.cast(DType::bf16)));
  CHECK(there.cast(DType::i32).values<int32_t>() == here.cast(DType::i32).values<int32_t>());
  CHECK(Tensor::full({5}, 2.5, DType::bf16, Device::cuda).cast(DType::f64).values<double>() ==
        std::vector<double>(5, 2.5));
  CHECK(Tensor::zeros({0, 4}, DType::f32, Device::cuda).values<float>().empty());
  CHECK(Tensor::full({1}, 7, DType::i32, Device::cuda).item() == 7);
}

#if GT_EMULATE
TEST_CASE("device: ops whose blocks meet agree where the device holds too few of them at once", "[device]") {
  const emulation::Options before = emulation::options();
  emulation::clear_races();
  for (const OpCase& c : op_cases()) {
    if (!c.name.starts_with("group_norm") && c.name != "splat_normalized") continue;
    for (const Sizes& sizes : c.sizes)
      for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
        if (dtype == DType::bf16 && !c.bf16_activations) continue;
        const Tensors one_pass = results(c, sizes, dtype, Device::cuda);
        for (const size_t blocks : {1, 5}) {
          emulation::options().blocks_at_once = blocks;
          const Tensors fewer = results(c, sizes, dtype, Device::cuda);
          emulation::options() = before;
          check_close(c, dtype, fewer, one_pass, dtype == DType::f64 ? 1e-12 : dtype == DType::f32 ? 1e-5 : 1e-2);
        }
      }
  }
  for (const std::string& race : emulation::races()) FAIL_CHECK(race);
}
#else
TEST_CASE("device: ops whose blocks meet agree with the CPU at the size of a training step", "[device]") {
  if (no_device()) return;
  for (const OpCase& c : op_cases()) {
    if (c.name != "group_norm" && c.name != "splat_normalized") continue;
    const Sizes sizes = c.bf16_activations ? Sizes{3, 224, 224, 128, 4} : Sizes{64, 40, 28, 28, 56, 56, 112, 112, 224, 224};
    check_close(c, DType::f32, results(c, sizes, DType::f32, Device::cuda), results(c, sizes, DType::f32, Device::cpu),
                1e-4);
    if (c.bf16_activations)
      check_close(c, DType::bf16, results(c, sizes, DType::bf16, Device::cuda), f32_results_of_bf16_inputs(c, sizes),
                  2e-2);
  }
}
#endif

#if GT_EMULATE
TEST_CASE("device: no kernel of the table races", "[device]") {
  if (!emulation::detects_races()) return;
  emulation::clear_races();
  for (const OpCase& c : op_cases())
    for (const Sizes& sizes : c.sizes) results(c, sizes, DType::f32, Device::cuda);
  for (const std::string& race : emulation::races()) FAIL_CHECK(race);
}
#endif
