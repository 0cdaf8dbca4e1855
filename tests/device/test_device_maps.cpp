// Ops on tracks whose tensors are longer than the tracks. The kernels read the lengths from the offsets, on the device.
#include <functional>
#include <limits>
#include <vector>

#include "core/autograd.h"
#include "core/device.h"
#include "kernels/ops.h"
#include "tests/catch.h"

using namespace gt;

namespace {

const std::vector<MapSize> sizes = {{5, 7}, {34, 40}};

/// Two tracks of 3 and 2 fixations, followed by `spare` unused fixations, which are NaN.
struct Tracks {
  explicit Tracks(int64_t spare) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> xy = {0.2, 0.3, 0.7, 0.4, 0.5, 0.8, 0.9, 0.1, 0.4, 0.4}, weight, sigma;
    xy.insert(xy.end(), size_t(2 * spare), nan);
    for (int64_t level = 0; level < 2; ++level) {
      weight.insert(weight.end(), {0.3, 0.0, 0.5, 0.7, 0.2});
      weight.insert(weight.end(), size_t(spare), nan);
      sigma.insert(sigma.end(), {0.1, 0.2, 0.15, 0.1});
    }
    const auto input = [](const Tensor& t) { return t.to(Device::cuda).set_requires_grad(); };
    inputs = {input(Tensor::of({5 + spare, 2}, xy)), input(Tensor::of({2, 5 + spare}, weight)),
              input(Tensor::of({2, 2, 2}, sigma))};
    offsets = Tensor::of<int32_t>({3}, {0, 3, 5}).to(Device::cuda);
    kept = Tensor::of<int32_t>({2, 2, 2}, {0, 3, 3, 5, 1, 3, 4, 5}).to(Device::cuda);
  }

  Tensors inputs;  // xy, weight, sigma
  Tensor offsets, kept;
};

using Op = std::function<Tensors(const Tracks&)>;

const std::vector<Op> ops = {
    [](const Tracks& t) { return splat(t.inputs[0], t.inputs[1], t.inputs[2], t.offsets, sizes); },
    [](const Tracks& t) { return splat_normalized(t.inputs[0], t.inputs[1], t.inputs[2], t.offsets, sizes); },
    [](const Tracks& t) { return track_distance(t.inputs[0], t.kept, sizes); }};

}  // namespace

TEST_CASE("device: unused fixations after the last track change no map and get a gradient of 0", "[device]") {
  const int64_t spare = 40;
  for (size_t op = 0; op < ops.size(); ++op) {
    INFO("op " << op);
    const Tracks exact(0), padded(spare);
    const Tensors maps = ops[op](exact), padded_maps = ops[op](padded);
    REQUIRE(maps.size() == sizes.size());
    REQUIRE(padded_maps.size() == sizes.size());
    for (size_t l = 0; l < maps.size(); ++l) CHECK(maps[l].values<double>() == padded_maps[l].values<double>());
    backward(add(sum(square(maps[0])), sum(maps[1])));
    backward(add(sum(square(padded_maps[0])), sum(padded_maps[1])));
    for (size_t k = 0; k < exact.inputs.size(); ++k) {
      const bool is_input = k == 0 || op < 2;  // track_distance() reads positions only
      REQUIRE(exact.inputs[k].grad().defined() == is_input);
      if (!is_input) continue;
      const Shape& shape = padded.inputs[k].shape();
      const std::vector<double> few = exact.inputs[k].grad().values<double>();
      const std::vector<double> many = padded.inputs[k].grad().values<double>();
      const int64_t rows = k == 0 ? 1 : shape[0], row = int64_t(many.size()) / rows, used = int64_t(few.size()) / rows;
      for (int64_t i = 0; i < int64_t(many.size()); ++i)
        CHECK(many[size_t(i)] == (i % row < used ? few[size_t(i / row * used + i % row)] : 0.0));
    }
  }
}

TEST_CASE("device: more levels than a launch takes are refused", "[device]") {
  const std::vector<MapSize> nine(9, MapSize{4, 4});
  const Tensor xy = Tensor::zeros({2, 2}, DType::f32, Device::cuda);
  const Tensor kept = Tensor::zeros({9, 1, 2}, DType::i32, Device::cuda);
  CHECK_THROWS_AS(track_distance(xy, kept, nine), Error);
}
