// What the op table cannot hold, having no gradient: optimiser steps and augmentation on device cuda against the CPU.
#include <cmath>

#include "kernels/cases/check_op.h"
#include "kernels/ops.h"
#include "tests/device/device.h"

using namespace gt;

namespace {

Tensors to_device(const Tensors& tensors) {
  Tensors there;
  for (const Tensor& t : tensors) there.push_back(t.defined() ? t.to(Device::cuda) : t);
  return there;
}

/// More tensors than one launch takes, some empty, most not of whole 16 bytes.
Tensors random_tensors(Maker maker) {
  Tensors tensors;
  for (int64_t k = 0; k < 230; ++k) tensors.push_back(maker.normal({k % 7, 1 + k % 5}));
  tensors.push_back(maker.normal({9001}));
  tensors.push_back(maker.normal({64, 40}));
  return tensors;
}

void check_close(const Tensors& device, const Tensors& cpu, double tolerance) {
  REQUIRE(device.size() == cpu.size());
  double worst = 0;
  for (size_t k = 0; k < cpu.size(); ++k)
    if (cpu[k].size() > 0) worst = std::max(worst, relative_difference(device[k], cpu[k]));
  CHECK(worst < tolerance);
}

/// Three steps of step(parameters, gradients, state, state, number), every third gradient missing in the second one.
template <class Step>
void check_steps(const Step& step) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensors here = random_tensors({dtype, Random(1)});
    Tensors first, second;
    for (const Tensor& p : here) {
      first.push_back(Tensor::zeros(p.shape(), dtype));
      second.push_back(Tensor::zeros(p.shape(), dtype));
    }
    const Tensors there = to_device(here), first_there = to_device(first), second_there = to_device(second);
    for (int64_t number = 1; number <= 3; ++number) {
      Tensors gradients = random_tensors({dtype, Random(2, uint64_t(number))});
      for (size_t k = 0; number == 2 && k < gradients.size(); k += 3) gradients[k] = {};
      step(here, gradients, first, second, number);
      step(there, to_device(gradients), first_there, second_there, number);
    }
    INFO(dtype);
    const double tolerance = dtype == DType::f32 ? 2e-6 : 1e-14;
    check_close(there, here, tolerance);
    check_close(first_there, first, tolerance);
    check_close(second_there, second, tolerance);
  }
}

Tensor random_bytes(const Shape& shape, Random random, bool mask) {
  Tensor t(shape, DType::u8);
  for (int64_t i = 0; i < t.size(); ++i)
    t.data<uint8_t>()[i] = uint8_t(mask ? 255 * random.below(2) : random.below(256));
  return t;
}

/// Turned, scaled, mirrored and shifted at random: some of it reads outside.
Tensor random_geometry(int64_t batch, Random random, DType dtype) {
  const Tensor geometry({batch, 2, 3}, DType::f64);
  for (int64_t b = 0; b < batch; ++b) {
    const double angle = random.uniform(-3, 3), scale = random.uniform(0.5, 1.5), side = random.chance(0.5) ? 1 : -1;
    double* g = geometry.data<double>() + 6 * b;
    g[0] = scale * std::cos(angle), g[1] = -side * std::sin(angle), g[2] = random.uniform(-0.3, 1);
    g[3] = scale * std::sin(angle), g[4] = side * std::cos(angle), g[5] = random.uniform(-0.3, 1);
  }
  return geometry.cast(dtype);
}

}  // namespace

TEST_CASE("device: SGD steps as on the CPU", "[device]") {
  if (no_device()) return;
  check_steps([](const Tensors& p, const Tensors& g, const Tensors& v, const Tensors&, int64_t) {
    sgd_step(p, g, v, sgd_rates(0.05, 0.9, 1e-2));
  });
}

TEST_CASE("device: AdamW steps as on the CPU", "[device]") {
  if (no_device()) return;
  check_steps([](const Tensors& p, const Tensors& g, const Tensors& m, const Tensors& v, int64_t number) {
    adamw_step(p, g, m, v, adamw_rates(number, 0.02, 0.1));
  });
}

TEST_CASE("device: images and masks are augmented as on the CPU", "[device]") {
  if (no_device()) return;
  for (const DType dtype : {DType::f32, DType::f64})
    for (int64_t channels = 1; channels <= 8; ++channels) {
      const int64_t batch = channels, height = 1 + 9 * (channels - 1), width = 35 + channels;
      const Tensor geometry = random_geometry(batch, Random(3, uint64_t(channels)), dtype);
      const Tensor colour = Maker{dtype, Random(4)}.uniform({batch, channels, channels + 1}, -1, 1);
      const Tensor images = random_bytes({batch, height, width, channels}, Random(5), false);
      const Tensor masks = random_bytes({batch, height, width}, Random(6), true);
      const Device cuda = Device::cuda;
      INFO(dtype << images.shape());
      // A position that rounding takes over the edge of a pixel's centre (see neighbours()) moves by 1e-4.
      CHECK(relative_difference(augment(images.to(cuda), geometry.to(cuda), colour.to(cuda)),
                                augment(images, geometry, colour)) < (dtype == DType::f32 ? 3e-4 : 1e-12));
      const std::vector<double> got =
          augment_masks(masks.to(cuda), geometry.to(cuda)).cast(DType::f64).values<double>();
      const std::vector<double> expected = augment_masks(masks, geometry).cast(DType::f64).values<double>();
      int64_t different = 0;
      for (size_t i = 0; i < expected.size(); ++i) different += got[i] != expected[i];
      CHECK(different <= (dtype == DType::f32 ? 1 : 0));  // a value that is one half but for rounding
    }
}

TEST_CASE("device: fixations behind the last track are moved to 0, and have no gradient", "[device]") {
  if (no_device()) return;
  const Tensor offsets = Tensor::of<int32_t>({4}, {0, 2, 2, 5}), geometry = random_geometry(3, Random(7), DType::f64);
  const Tensor xy = Maker{DType::f64, Random(8)}.uniform({9, 2}, 0, 1);
  const Tensor used = Tensor::of<double>({5, 2}, {xy.data<double>(), xy.data<double>() + 10});
  Tensor there = xy.to(Device::cuda);
  there.set_requires_grad();
  const Tensor moved = augment_fixations(there, offsets.to(Device::cuda), geometry.to(Device::cuda));
  backward(sum(moved));
  const std::vector<double> expected = augment_fixations(used, offsets, geometry).values<double>();
  const std::vector<double> got = moved.values<double>(), gradient = there.grad().values<double>();
  for (size_t i = 0; i < 18; ++i) {
    CHECK(got[i] == Approx(i < 10 ? expected[i] : 0));
    CHECK((gradient[i] != 0) == (i < 10));
  }
}
