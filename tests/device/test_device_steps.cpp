// Optimiser steps and augmentation on device cuda against the CPU. They have no gradient, so the op table lacks them.
#include <cmath>

#include "core/upload.h"
#include "kernels/cases/check_op.h"
#include "kernels/ops.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

Tensors to_device(const Tensors& tensors) {
  Tensors copies;
  for (const Tensor& t : tensors) copies.push_back(t.defined() ? t.to(Device::cuda) : t);
  return copies;
}

/// More tensors than one launch takes. Some are empty, and the bytes of most are no multiple of 16.
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

/// Takes three steps by step(parameters, gradients, state, state, number) on both devices. Every third gradient of the
/// second step is missing.
template <class Step>
void check_steps(const Step& step) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensors cpu = random_tensors({dtype, Random(1)});
    Tensors first, second;
    for (const Tensor& p : cpu) {
      first.push_back(Tensor::zeros(p.shape(), dtype));
      second.push_back(Tensor::zeros(p.shape(), dtype));
    }
    const Tensors cuda = to_device(cpu), first_cuda = to_device(first), second_cuda = to_device(second);
    for (int64_t number = 1; number <= 3; ++number) {
      Tensors gradients = random_tensors({dtype, Random(2, uint64_t(number))});
      for (size_t k = 0; number == 2 && k < gradients.size(); k += 3) gradients[k] = {};
      step(cpu, gradients, first, second, number);
      step(cuda, to_device(gradients), first_cuda, second_cuda, number);
    }
    INFO(dtype);
    const double tolerance = dtype == DType::f32 ? 2e-6 : 1e-14;
    check_close(cuda, cpu, tolerance);
    check_close(first_cuda, first, tolerance);
    check_close(second_cuda, second, tolerance);
  }
}

Tensor random_bytes(const Shape& shape, Random random, bool mask) {
  Tensor t(shape, DType::u8);
  for (int64_t i = 0; i < t.size(); ++i)
    t.data<uint8_t>()[i] = uint8_t(mask ? 255 * random.below(2) : random.below(256));
  return t;
}

/// Random rotation, scale, reflection and translation (B,2,3), which partly reads outside the image.
Tensor random_geometry(int64_t batch, Random random, DType dtype) {
  Tensor geometry({batch, 2, 3}, DType::f64);
  for (int64_t b = 0; b < batch; ++b) {
    const double angle = random.uniform(-3, 3), scale = random.uniform(0.5, 1.5), side = random.chance(0.5) ? 1 : -1;
    double* g = geometry.data<double>() + 6 * b;
    g[0] = scale * std::cos(angle), g[1] = -side * std::sin(angle), g[2] = random.uniform(-0.3, 1);
    g[3] = scale * std::sin(angle), g[4] = side * std::cos(angle), g[5] = random.uniform(-0.3, 1);
  }
  return geometry.cast(dtype);
}

}  // namespace

TEST_CASE("device: SGD agrees with the CPU", "[device]") {
  check_steps([](const Tensors& p, const Tensors& g, const Tensors& v, const Tensors&, int64_t) {
    sgd_step(p, g, v, sgd_rates(0.05, 0.9, 1e-2));
  });
}

TEST_CASE("device: clipped steps agree with the CPU, and the norm has the same bits every time", "[device]") {
  const auto clip = [](const Tensors& p, const Tensors& g) {
    const Tensor result = Tensor::zeros({2}, DType::f64, p[0].device());
    clip_by_norm(g, 0.5, result);
    return result;
  };
  check_steps([&](const Tensors& p, const Tensors& g, const Tensors& v, const Tensors&, int64_t) {
    sgd_step(p, g, v, sgd_rates(0.05, 0.9, 1e-2, true), clip(p, g));
  });
  check_steps([&](const Tensors& p, const Tensors& g, const Tensors& m, const Tensors& v, int64_t number) {
    adamw_step(p, g, m, v, adamw_rates(number, 0.02, 0.1), clip(p, g));
  });
  const Tensors cpu = random_tensors({DType::f32, Random(3)}), cuda = to_device(cpu);
  const Tensor first = clip(cuda, cuda);
  CHECK(relative_difference(first, clip(cpu, cpu)) < 1e-12);
  CHECK(same_bits(clip(cuda, cuda), first));
  CHECK(clip(cuda, {Tensor{}}).values<double>() == std::vector<double>{0, 1});
}

TEST_CASE("device: the average of weights agrees with the CPU", "[device]") {
  check_steps([](const Tensors& p, const Tensors&, const Tensors& a, const Tensors&, int64_t) {
    average_step(a, p, average_rates(0.9));
  });
}

TEST_CASE("device: AdamW agrees with the CPU", "[device]") {
  check_steps([](const Tensors& p, const Tensors& g, const Tensors& m, const Tensors& v, int64_t number) {
    adamw_step(p, g, m, v, adamw_rates(number, 0.02, 0.1));
  });
}

TEST_CASE("device: augmentation of images and masks agrees with the CPU", "[device]") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (int64_t channels = 1; channels <= 8; ++channels) {
      const int64_t batch = channels, height = 1 + 9 * (channels - 1), width = 35 + channels;
      const Tensor geometry = random_geometry(batch, Random(3, uint64_t(channels)), dtype);
      const Tensor colour = Maker{dtype, Random(4)}.uniform({batch, channels, channels + 1}, -1, 1);
      const Tensor images = random_bytes({batch, height, width, channels}, Random(5), false);
      const Tensor masks = random_bytes({batch, height, width}, Random(6), true);
      const Device cuda = Device::cuda;
      INFO(dtype << images.shape());
      // Rounding may move a position across the centre of a pixel (see neighbours()), which changes the value by 1e-4.
      CHECK(relative_difference(augment(images.to(cuda), geometry.to(cuda), colour.to(cuda)),
                                augment(images, geometry, colour)) < (dtype == DType::f32 ? 3e-4 : 1e-12));
      const std::vector<double> got =
          augment_masks(masks.to(cuda), geometry.to(cuda)).cast(DType::f64).values<double>();
      const std::vector<double> expected = augment_masks(masks, geometry).cast(DType::f64).values<double>();
      int64_t different = 0;
      for (size_t i = 0; i < expected.size(); ++i) different += got[i] != expected[i];
      CHECK(different <= (dtype == DType::f32 ? 1 : 0));  // rounding may change a value of about one half
    }
}

TEST_CASE("device: unused fixations after the last track are moved to 0 and get no gradient", "[device]") {
  const Tensor offsets = Tensor::of<int32_t>({4}, {0, 2, 2, 5}), geometry = random_geometry(3, Random(7), DType::f64);
  const Tensor xy = Maker{DType::f64, Random(8)}.uniform({9, 2}, 0, 1);
  const Tensor used = Tensor::of<double>({5, 2}, {xy.data<double>(), xy.data<double>() + 10});
  Tensor on_cuda = xy.to(Device::cuda);
  on_cuda.set_requires_grad();
  const Tensor moved = augment_fixations(on_cuda, offsets.to(Device::cuda), geometry.to(Device::cuda));
  backward(sum(moved));
  const std::vector<double> expected = augment_fixations(used, offsets, geometry).values<double>();
  const std::vector<double> got = moved.values<double>(), gradient = on_cuda.grad().values<double>();
  for (size_t i = 0; i < 18; ++i) {
    CHECK(got[i] == Approx(i < 10 ? expected[i] : 0));
    CHECK((gradient[i] != 0) == (i < 10));
  }
}

TEST_CASE("packed upload: several tensors arrive in one piece, call after call", "[upload]") {
  const auto tensors_of = [](double value) {
    return Tensors{Tensor::full({3, 5}, value, DType::u8), Tensor::full({7}, value, DType::f32), Tensor({0, 4}),
                   Tensor::full({2, 300}, value, DType::f64), Tensor::full({1}, value, DType::i32)};
  };
  PackedUpload upload(tensors_of(0), Device::cuda);
  REQUIRE(upload.tensors().size() == 5);
  const auto address = [](const Tensor& t) { return reinterpret_cast<uintptr_t>(t.raw()); };
  for (const Tensor& t : upload.tensors()) CHECK((address(t) - address(upload.tensors()[0])) % 256 == 0);
  CHECK_FALSE(upload.tensors()[0].same_buffer(upload.tensors()[1]));
  // What is sent before a call still reads the call before, although the host does not wait in between.
  Tensors doubled;
  for (int call = 1; call <= 5; ++call) {
    upload(tensors_of(call));
    doubled.push_back(add(upload.tensors()[3], upload.tensors()[3]));
    if (call == 5)
      for (const Tensor& t : upload.tensors())
        if (t.size() > 0)
          CHECK(t.to(Device::cpu).view({t.size()}).cast(DType::f64).values<double>() ==
                std::vector<double>(size_t(t.size()), 5));
  }
  for (int call = 1; call <= 5; ++call)
    CHECK(doubled[size_t(call) - 1].values<double>() == std::vector<double>(600, 2.0 * call));

  Tensors other = tensors_of(1);
  other[1] = Tensor::full({8}, 1);
  CHECK(error_of([&] { upload(other); }).find("PackedUpload: expected f32(7), got f32(8)") == 0);
  CHECK(error_of([&] { upload({other[0]}); }).find("PackedUpload: expected 5 tensors, got 1") == 0);
  CHECK(upload.tensors()[1].values<float>() == std::vector<float>(7, 5));
}

TEST_CASE("packed upload: a device without memory for empty tensors", "[upload]") {
  const Tensor empty = Tensor::zeros({0, 3}, DType::f32, Device::cuda);
  CHECK(add(empty, empty).values<float>().empty());
  CHECK(empty.clone().to(Device::cpu).size() == 0);
}
