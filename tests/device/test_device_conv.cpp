// Kernels that add and sum biases, at sizes that the op table does not have, and sizes that convolutions refuse.
#include "tests/catch.h"
#include "tests/differences.h"

#if GT_CUDA

#include "core/dry_run.h"
#include "core/random.h"
#include "kernels/cases/op_case.h"
#include "kernels/cuda/convolution.h"
#include "kernels/ops.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

/// Normal random numbers of type T, on the CPU.
template <class T>
Tensor numbers(const Shape& shape, Random& random) {
  return Maker{DType::f64, random}.normal(shape).cast(dtype_of<T>());
}

/// Adds a bias (channels) to an image (pixels, channels) and sums the image over pixels. Compares both with plain loops
/// in double.
template <class T>
void check_bias(int64_t pixels, int64_t channels) {
  INFO(dtype_of<T>() << " (" << pixels << "," << channels << ")");
  using Wide = compute_t<T>;
  Random random(1);
  const Tensor y = numbers<T>({pixels, channels}, random), bias = numbers<Wide>({channels}, random);
  const Tensor on_cuda = y.to(Device::cuda), sums({channels}, dtype_of<Wide>(), Device::cuda);
  gpu::bias_gradient<T, Wide>(pixels, channels, on_cuda.data<T>(), sums.data<Wide>());
  gpu::add_bias<T, Wide>(pixels, channels, bias.to(Device::cuda).template data<Wide>(), on_cuda.data<T>());
  const std::vector<Wide> sum = sums.values<Wide>();
  const std::vector<T> added = on_cuda.values<T>();
  double wrong = 0, off = 0;
  std::vector<double> exact(size_t(channels), 0.0);
  for (int64_t i = 0; i < y.size(); ++i) {
    const Wide a = y.data<T>()[i], b = bias.data<Wide>()[i % channels];
    exact[size_t(i % channels)] += double(a);
    wrong += double(added[size_t(i)]) != double(T(a + b));
  }
  for (size_t c = 0; c < exact.size(); ++c) off = larger_difference(off, double(sum[c]), exact[c]);
  CHECK(added.size() == size_t(y.size()));
  CHECK(wrong == 0);
  CHECK(off < (sizeof(Wide) == 4 ? 1e-6 : 1e-12) * std::sqrt(double(pixels)) * 4);
}

}  // namespace

TEST_CASE("device: add_bias() and bias_gradient() agree with plain loops", "[device]") {
  for (const auto& [pixels, channels] :
       {std::pair<int64_t, int64_t>{1, 1}, {1, 300}, {77, 5}, {3001, 100}, {100003, 3}}) {
    check_bias<float>(pixels, channels);
    check_bias<double>(pixels, channels);
    check_bias<bf16>(pixels, channels);
  }
}

TEST_CASE("device: convolutions refuse more than 2^31 - 1 elements", "[device]") {
  const DryRun dry;
  const auto zeros = [](const Shape& shape) { return Tensor(shape, DType::f32, Device::cuda).set_requires_grad(); };
  const auto refuses = [](const auto& op) {
    return error_of(op).find("expected at most 2^31 - 1 of each") != std::string::npos;
  };
  const int64_t side = int64_t(1) << 14;
  const Tensor large = zeros({2, side, side, 4}), wide = zeros({8, 4, 3, 3});
  CHECK(refuses([&] { conv2d(large, zeros({2, 4, 3, 3}), {}); }));       // x has 2^31
  CHECK(refuses([&] { conv2d(zeros({1, side, side, 4}), wide, {}); }));  // y has 2^31
  CHECK(refuses([&] { conv_transpose2x2(zeros({1, side, side, 4}), zeros({4, 2, 2, 2}), {}); }));
}

#endif
