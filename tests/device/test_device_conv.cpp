// The device's own kernels around the convolution libraries, at sizes that the rows of op_cases.h do not reach.
#include "tests/device/device.h"

#if GT_CUDA

#include "core/random.h"
#include "kernels/cases/op_case.h"
#include "kernels/cuda/convolution.h"

using namespace gt;

namespace {

/// Normal numbers of type T, in the CPU's memory.
template <class T>
Tensor numbers(const Shape& shape, Random& random) {
  return Maker{DType::f64, random}.normal(shape).cast(dtype_of<T>());
}

/// Bias added to and summed from (pixels, channels), against plain loops in double.
template <class T>
void check_bias(int64_t pixels, int64_t channels) {
  INFO(dtype_of<T>() << " (" << pixels << "," << channels << ")");
  using Wide = compute_t<T>;
  Random random(1);
  const Tensor y = numbers<T>({pixels, channels}, random), bias = numbers<Wide>({channels}, random);
  const Tensor there = y.to(Device::cuda), sums({channels}, dtype_of<Wide>(), Device::cuda);
  gpu::bias_gradient<T, Wide>(pixels, channels, there.data<T>(), sums.data<Wide>());
  gpu::add_bias<T, Wide>(pixels, channels, bias.to(Device::cuda).template data<Wide>(), there.data<T>());
  const std::vector<Wide> sum = sums.values<Wide>();
  const std::vector<T> added = there.values<T>();
  double wrong = 0, off = 0;
  std::vector<double> exact(size_t(channels), 0.0);
  for (int64_t i = 0; i < y.size(); ++i) {
    const Wide a = y.data<T>()[i], b = bias.data<Wide>()[i % channels];
    exact[size_t(i % channels)] += double(a);
    wrong += double(added[size_t(i)]) != double(T(a + b));
  }
  for (size_t c = 0; c < exact.size(); ++c) off = std::max(off, std::abs(double(sum[c]) - exact[c]));
  CHECK(wrong == 0);
  CHECK(off < (sizeof(Wide) == 4 ? 1e-6 : 1e-12) * std::sqrt(double(pixels)) * 4);
}

}  // namespace

TEST_CASE("device: biases are added and summed", "[device]") {
  if (no_device()) return;
  for (const auto& [pixels, channels] :
       {std::pair<int64_t, int64_t>{1, 1}, {1, 300}, {77, 5}, {3001, 100}, {100003, 3}}) {
    check_bias<float>(pixels, channels);
    check_bias<double>(pixels, channels);
    check_bias<bf16>(pixels, channels);
  }
}

#endif
