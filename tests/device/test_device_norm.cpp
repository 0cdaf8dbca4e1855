// What the norms promise besides the rows of the op table: the same bits however many blocks the device holds at once,
// one pass where it is possible, and digits where the mean is far above the deviation.
#include <cmath>

#include "core/autograd.h"
#include "core/dry_run.h"
#include "core/profile.h"
#include "kernels/cases/check_op.h"
#include "tests/catch.h"
#include "tests/differences.h"
#if GT_EMULATE
#include "core/emulation/emulation.h"
#endif

using namespace gt;

namespace {

struct NormInput {
  Tensor x, bias, gamma, beta;
};

/// Inputs on the CPU in f64. x (B,H,W,C) has mean `mean` and deviation 1.
NormInput norm_input(const Shape& shape, double mean) {
  Maker make{DType::f64, Random(7)};
  const Shape channels{shape[3]};
  Tensor x = make.normal(shape);
  for (int64_t i = 0; i < x.size(); ++i) x.data<double>()[i] += mean;
  return {x.cast(DType::f32).cast(DType::f64), make.uniform(channels, -1, 1).cast(DType::f32).cast(DType::f64),
          make.uniform(channels, 0.7, 1.6).cast(DType::f32).cast(DType::f64),
          make.uniform(channels, -0.4, 0.4).cast(DType::f32).cast(DType::f64)};
}

/// y and the gradients of x, bias, gamma and beta for dy = cos(0), cos(1), ..
Tensors norm_results(const NormInput& in, int64_t groups, DType dtype, Device device) {
  const DType compute = dtype == DType::bf16 ? DType::f32 : dtype;
  const auto leaf = [&](const Tensor& t, DType to) {
    Tensor own = t.cast(to).to(device);
    return own.set_requires_grad();
  };
  const Tensor x = leaf(in.x, dtype), bias = leaf(in.bias, compute), gamma = leaf(in.gamma, compute),
               beta = leaf(in.beta, compute);
  const Tensor y = group_norm_leaky_relu(x, bias, gamma, beta, groups, 0.1);
  Tensor dy(y.shape(), DType::f64);
  for (int64_t i = 0; i < dy.size(); ++i) dy.data<double>()[i] = std::cos(double(i));
  backward(y, dy.cast(dtype).to(device));
  return {y.detach(), x.grad(), bias.grad(), gamma.grad(), beta.grad()};
}

/// Kernels of a forward and a backward pass over images of size x size, by a dry run.
int64_t norm_kernels(int64_t images, int64_t size, int64_t channels, DType dtype) {
  const DryRun dry;
  const DType compute = dtype == DType::bf16 ? DType::f32 : dtype;
  const auto leaf = [](const Shape& shape, DType type) {
    return Tensor(shape, type, Device::cuda).set_requires_grad();
  };
  const Tensor x = leaf({images, size, size, channels}, dtype), bias = leaf({channels}, compute),
               gamma = leaf({channels}, compute), beta = leaf({channels}, compute);
  Profile profile(Device::cuda);
  const Tensor y = group_norm_leaky_relu(x, bias, gamma, beta, 8, 0.1);
  backward(y, Tensor(y.shape(), dtype, Device::cuda));
  int64_t kernels = 0;
  for (const Profile::Total& op : profile.totals(false)) kernels += op.kernels;
  return kernels;
}

}  // namespace

#if GT_EMULATE
TEST_CASE("device: norms give the same bits however many blocks the device holds at once", "[device][bits][norm]") {
  const emulation::Options before = emulation::options();
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Shape& shape : {Shape{2, 48, 48, 96}, Shape{1, 64, 64, 24}, Shape{3, 7, 5, 33}}) {
      const NormInput in = norm_input(shape, 0.5);
      Tensors first;
      for (const size_t blocks : {400, 132, 64, 48, 32, 1}) {
        emulation::options().blocks_at_once = blocks;
        const Tensors results = norm_results(in, shape[3] % 8 == 0 ? 8 : 3, dtype, Device::cuda);
        if (first.empty()) first = results;
        for (size_t i = 0; i < results.size(); ++i) {
          INFO(dtype << shape << " result " << i << ", " << blocks << " blocks at once");
          CHECK(same_bits(results[i], first[i]));
        }
      }
    }
  emulation::options() = before;
}
#endif

TEST_CASE("device: norms of a batch of any size read their input once", "[device][norm]") {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const int64_t images : {1, 2, 8, 64})
      for (const auto& [size, channels] : {std::pair<int64_t, int64_t>{224, 64}, {112, 64}, {56, 128}, {14, 512}}) {
        INFO(dtype << " (" << images << "," << size << "," << size << "," << channels << ")");
        const int64_t launches = dtype == DType::f32 && size == 224 ? 2 : 1;  // of backward, whose tiles are two
        CHECK(norm_kernels(images, size, channels, dtype) == 1 + launches + 1);
      }
}

TEST_CASE("device: norms give the same bits where blocks may not wait for each other", "[device][bits][norm]") {
  const NormInput in = norm_input({2, 30, 20, 16}, 0.5);
  const Tensors waiting = norm_results(in, 4, DType::f32, Device::cuda);
  const int64_t kernels = norm_kernels(2, 56, 64, DType::f32);
  set_blocks_may_wait(false);
  const Tensors results = norm_results(in, 4, DType::f32, Device::cuda);
  const int64_t more_kernels = norm_kernels(2, 56, 64, DType::f32);
  set_blocks_may_wait(true);
  for (size_t i = 0; i < results.size(); ++i) CHECK(same_bits(results[i], waiting[i]));
  CHECK(kernels == 3);
  CHECK(more_kernels == 7);
}

TEST_CASE("device: norms keep the digits of a deviation far below the mean", "[device][norm]") {
  const auto check = [](const std::string& what) {
    const NormInput in = norm_input({2, 24, 24, 16}, 1000);
    const Tensors exact = norm_results(in, 4, DType::f64, Device::cpu);
    for (const Device device : {Device::cpu, Device::cuda}) {
      const Tensors results = norm_results(in, 4, DType::f32, device);
      for (size_t k = 0; k < exact.size(); ++k) {
        const std::vector<double> got = results[k].cast(DType::f64).values<double>(),
                                  expected = exact[k].values<double>();
        double worst = 0, largest = 1;
        for (size_t i = 0; i < expected.size(); ++i) {
          // A value within rounding of the kink has the slope of either side, and so its gradient.
          if (k == 1 && std::fabs(exact[0].data<double>()[i]) < 1e-3) continue;
          worst = larger_difference(worst, got[i], expected[i]);
          largest = std::max(largest, std::fabs(expected[i]));
        }
        INFO(what << ", " << device << ", result " << k);
        CHECK(worst / largest < 1.5e-4);
      }
    }
  };
  check("one pass");
#if GT_EMULATE
  const emulation::Options before = emulation::options();
  emulation::options().blocks_at_once = 1;
  check("two passes");
  emulation::options() = before;
#endif
}
