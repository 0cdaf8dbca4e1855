// The autograd engine, mostly with ops that are defined here.
#include <numeric>
#include <thread>

#include "core/autograd.h"
#include "kernels/ops.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

using Doubles = std::vector<double>;

Tensor leaf(Shape shape, const Doubles& values) {
  return Tensor::of<double>(std::move(shape), values).set_requires_grad();
}

template <class F>
Tensor map(const Tensor& a, const Tensor& b, F&& f) {
  Tensor y(a.shape(), DType::f64);
  for (int64_t i = 0; i < y.size(); ++i) y.data<double>()[i] = f(a.data<double>()[i], b.data<double>()[i]);
  return y;
}

Tensor times(const Tensor& a, const Tensor& b) {
  const Tensor saved_a = a.detach(), saved_b = b.detach();
  const auto product = [](double p, double q) { return p * q; };
  return record("times", map(a, b, product), {a, b}, [=](const Tensor& dy) -> Tensors {
    return {map(dy, saved_b, product), map(dy, saved_a, product)};
  });
}

/// a + b. Both inputs get one tensor, dy, as their gradient.
Tensor plus(const Tensor& a, const Tensor& b) {
  return record("plus", map(a, b, [](double p, double q) { return p + q; }), {a, b}, [](const Tensor& dy) -> Tensors {
    return {dy, dy};
  });
}

/// y = x. With `save` the op saves its input.
Tensor same(const Tensor& x, bool save = false) {
  Tensor saved = save ? x.detach() : Tensor();
  return record("same", x.clone(), {x}, [saved](const Tensor& dy) -> Tensors { return {dy}; });
}

/// {2x, 3x}
Tensors twice_and_thrice(const Tensor& x, std::vector<bool>* seen = nullptr) {
  const auto scaled = [](const Tensor& t, double k) { return map(t, t, [k](double v, double) { return k * v; }); };
  return record("twice_and_thrice", {scaled(x, 2), scaled(x, 3)}, {x}, [=](const Tensors& dy) -> Tensors {
    if (seen != nullptr) *seen = {dy[0].defined(), dy[1].defined()};
    Tensor dx = Tensor::zeros(x.shape(), DType::f64);
    for (size_t k = 0; k < 2; ++k)
      if (dy[k].defined()) dx = map(dx, dy[k], [k](double s, double d) { return s + double(2 + k) * d; });
    return {dx};
  });
}

}  // namespace

TEST_CASE("autograd: gradients of an input that several ops use are summed", "[autograd]") {
  const Tensor x = leaf({2}, {3, 5});
  const Tensor square = times(x, x);           // one op uses x twice
  const Tensor y = plus(times(square, x), x);  // y = x^3 + x
  backward(y, Tensor::full({2}, 1, DType::f64));
  CHECK(x.grad().values<double>() == Doubles{28, 76});
}

TEST_CASE("autograd: backward() adds to a gradient until it is cleared, and leaves earlier results unchanged",
          "[autograd]") {
  Tensor x = leaf({1}, {3});
  backward(times(x, x));
  const Tensor first = x.grad();
  backward(times(x, x));
  CHECK(first.item() == 6);
  CHECK(x.grad().item() == 12);
  x.clear_grad();
  CHECK_FALSE(x.grad().defined());
  backward(same(x));
  CHECK(x.grad().item() == 1);
}

TEST_CASE("autograd: inputs that get one gradient tensor accumulate separately", "[autograd]") {
  const Tensor a = leaf({1}, {1}), b = leaf({1}, {2}), seed = Tensor::full({1}, 1, DType::f64);
  backward(plus(plus(a, b), a), seed);
  CHECK(a.grad().item() == 2);
  CHECK(b.grad().item() == 1);
  CHECK(seed.item() == 1);
}

TEST_CASE("autograd: backward() takes a seed and leaf outputs, and refuses other outputs", "[autograd]") {
  const Tensor x = leaf({2}, {3, 5}), constant = Tensor::full({1}, 1, DType::f64);
  backward(times(x, x), Tensor::of<double>({2}, {10, 100}));
  CHECK(x.grad().values<double>() == Doubles{60, 1000});
  const Tensor alone = leaf({1}, {3});
  backward(alone);
  CHECK(alone.grad().item() == 1);
  CHECK_THROWS_AS(backward(times(x, x)), Error);  // not a scalar
  CHECK_THROWS_AS(backward(times(x, x), Tensor::full({3}, 1, DType::f64)), Error);
  CHECK_THROWS_AS(backward(times(constant, constant)), Error);
  CHECK_THROWS_AS(backward(Tensor()), Error);
}

TEST_CASE("autograd: an output that no op uses has an undefined gradient", "[autograd]") {
  Tensor x = leaf({1}, {1});
  std::vector<bool> seen;
  backward(twice_and_thrice(x, &seen)[1]);
  CHECK(seen == std::vector<bool>{false, true});
  CHECK(x.grad().item() == 3);
  x.clear_grad();
  const Tensors both = twice_and_thrice(x, &seen);
  backward(plus(times(both[0], both[1]), both[0]));  // 6x^2 + 2x
  CHECK(seen == std::vector<bool>{true, true});
  CHECK(x.grad().item() == 14);
}

TEST_CASE("autograd: an op may give an input no gradient", "[autograd]") {
  const Tensor x = leaf({1}, {1}), w = leaf({1}, {2});
  backward(record("half", x.clone(), {x, w}, [](const Tensor& dy) -> Tensors { return {Tensor(), dy}; }));
  CHECK_FALSE(x.grad().defined());
  CHECK(w.grad().item() == 1);
}

TEST_CASE("autograd: ops on inputs that require no gradient are not recorded", "[autograd]") {
  const Tensor x = leaf({1}, {3}), c = Tensor::full({1}, 2, DType::f64);
  CHECK_FALSE(will_record({c}));
  CHECK(will_record({c, x}));
  CHECK_FALSE(times(c, c).requires_grad());
  backward(times(x, c));
  CHECK(x.grad().item() == 2);
  CHECK_FALSE(c.grad().defined());
}

TEST_CASE("autograd: the error for a wrong gradient names its op", "[autograd]") {
  const Tensor x = leaf({2}, {1, 2});
  const auto with = [&](const char* name, const Tensors& grads) {
    const Tensor y = record(name, Tensor::full({}, 0, DType::f64), {x}, [grads](const Tensor&) { return grads; });
    return error_of([&] { backward(y); });
  };
  CHECK(with("wrong_shape", {Tensor({3}, DType::f64)}).starts_with("wrong_shape: gradient is f64(3)"));
  CHECK(with("wrong_type", {Tensor({2}, DType::f32)}).starts_with("wrong_type: gradient is f32(2)"));
  CHECK(with("too_many", Tensors(2)).starts_with("too_many: expected 1 gradients, one per input, got 2"));
  CHECK(with("too_few", {}).starts_with("too_few: expected 1 gradients, one per input, got 0"));
}

TEST_CASE("autograd: a graph is used once", "[autograd]") {
  const Tensor x = leaf({1}, {3});
  const Tensor y = same(x), z = times(y, y);
  backward(z);
  CHECK(error_of([&] { backward(z); }).find("'times' has been used") != std::string::npos);
  CHECK(error_of([&] { backward(times(y, y)); }).find("'same' has been used") != std::string::npos);
  CHECK(x.grad().item() == 6);
}

TEST_CASE("autograd: after a failed backward() the graph counts as used", "[autograd]") {
  const int64_t before = live_bytes();
  {
    const Tensor x = leaf({1}, {3});
    const Tensor shared = same(x);
    const Tensor bad = record("bad", shared.clone(), {shared}, [](const Tensor&) -> Tensors { fail("no memory"); });
    CHECK_THROWS_AS(backward(plus(bad, shared)), Error);  // after one of the two gradients of `shared`
    CHECK(error_of([&] { backward(same(shared)); }).find("'same' has been used") != std::string::npos);
    CHECK_FALSE(x.grad().defined());
  }
  CHECK(live_bytes() == before);
}

TEST_CASE("autograd: NoGrad stops recording in its own thread", "[autograd]") {
  const Tensor x = leaf({1}, {3});
  {
    const NoGrad outer;
    {
      const NoGrad inner;
      CHECK_FALSE(same(x).requires_grad());
    }
    CHECK_FALSE(same(x).requires_grad());
    bool elsewhere = false;
    std::thread([&] { elsewhere = will_record({x}); }).join();
    CHECK(elsewhere);
  }
  CHECK(same(x).requires_grad());
}

TEST_CASE("autograd: ops in a backward function are not recorded", "[autograd]") {
  const Tensor x = leaf({1}, {3});
  bool recorded = true;
  backward(record("op", x.clone(), {x}, [&](const Tensor& dy) -> Tensors {
    recorded = will_record({x});
    return {dy};
  }));
  CHECK_FALSE(recorded);
  CHECK(will_record({x}));
}

TEST_CASE("autograd: set_requires_grad() refuses the result of an op", "[autograd]") {
  const Tensor x = leaf({1}, {3});
  CHECK_THROWS_AS(same(x).set_requires_grad(false), Error);
}

TEST_CASE("autograd: backward() frees each saved tensor after its use", "[autograd]") {
  const int64_t before = live_bytes();
  {
    const Tensor x = leaf({1000}, Doubles(1000, 1));  // 8000 bytes
    std::vector<int64_t> live;
    Tensor y = x;
    for (int i = 0; i < 10; ++i) {
      const Tensor saved = Tensor::zeros({1000}, DType::f64);
      y = record("saver", y.clone(), {y}, [&live, saved](const Tensor& dy) -> Tensors {
        live.push_back(live_bytes());
        return {dy};
      });
    }
    backward(y, Tensor::full({1000}, 1, DType::f64));
    REQUIRE(live.size() == 10);
    for (size_t i = 2; i < live.size(); ++i) CHECK(live[i] == live[i - 1] - 8000);  // the tensor that op i-1 saved
    y = {};
    CHECK(live_bytes() == before + 16000);  // x and its gradient
  }
  CHECK(live_bytes() == before);
}

TEST_CASE("autograd: the graph keeps no input that backward does not read", "[autograd]") {
  const int64_t before = live_bytes();
  {
    const Tensor x = leaf({1000}, Doubles(1000, 1));  // 8000 bytes
    Tensor y = x;
    for (int i = 0; i < 10; ++i) y = scale(y, 2);
    CHECK(live_bytes() == before + 16000);  // x and y
    y = reshape(y, {1, 1000});
    y = concat(y, scale(y, 3));
    CHECK(live_bytes() == before + 24000);
    backward(y, Tensor::full({1, 2000}, 1, DType::f64));
    CHECK(x.grad().values<double>() == Doubles(1000, 4096));
  }
  CHECK(live_bytes() == before);
}

TEST_CASE("autograd: a saved tensor is computed again where that was asked for", "[autograd]") {
  const int64_t before = live_bytes();
  const Tensor x = leaf({1000}, Doubles(1000, 3));  // 8000 bytes
  int computed = 0;
  const auto saver = [](const Tensor& t) {
    return record("saver", t.clone(), {t}, [t = Saved(t)](const Tensor& dy) -> Tensors {
      return {map(dy, t.get(), [](double p, double q) { return p * q; })};
    });
  };
  Tensor y = times(x, x);
  recompute_in_backward(y, [&computed, x = x.detach()] {
    ++computed;
    return map(x, x, [](double p, double q) { return p * q; });
  });
  SECTION("nobody else has the elements") {
    y = saver(saver(y));                    // the first saves y, the second its own input
    CHECK(live_bytes() == before + 24000);  // x, the input of the second, and y
    backward(y, Tensor::full({1000}, 1, DType::f64));
    CHECK(computed == 1);
  }
  SECTION("somebody else has them") {
    const Tensor z = saver(y);
    backward(z, Tensor::full({1000}, 1, DType::f64));
    CHECK(computed == 0);
  }
  SECTION("they come out as another tensor") {
    recompute_in_backward(y, [] { return Tensor({2}, DType::f64); });
    y = saver(y);
    CHECK_THROWS_WITH(backward(y, Tensor::full({1000}, 1, DType::f64)),
                      Catch::Matchers::Contains("a saved tensor was computed again as f64(2), expected f64(1000)"));
    return;
  }
  CHECK(x.grad().values<double>()[0] > 0);
}

TEST_CASE("autograd: a chain of a million ops is built, differentiated and freed", "[autograd]") {
  const int64_t before = live_bytes();
  {
    const Tensor x = leaf({1}, {1});
    Tensor y = x;
    for (int i = 0; i < 1000000; ++i) y = same(y, i % 2 == 0);
    backward(y);
    CHECK(x.grad().item() == 1);
    y = {};
    CHECK(live_bytes() == before + 16);
  }
  CHECK(live_bytes() == before);
}

TEST_CASE("autograd: a chain of a million ops is freed without backward()", "[autograd]") {
  const int64_t before = live_bytes();
  {
    Tensor y = leaf({1}, {1});
    for (int i = 0; i < 1000000; ++i) y = i % 2 == 0 ? same(y, true) : plus(y, y);
    y = {};
    CHECK(live_bytes() == before);
  }
  CHECK(live_bytes() == before);
}

TEST_CASE("autograd: a part of a graph that no gradient reaches is freed", "[autograd]") {
  const int64_t before = live_bytes();
  {
    const Tensor x = leaf({1}, {1});
    Tensor unused = x;
    for (int i = 0; i < 200000; ++i) unused = same(unused);
    const Tensor y = record("ignores", x.clone(), {x, unused}, [](const Tensor& dy) -> Tensors {
      return {dy, Tensor()};
    });
    unused = {};
    backward(y);
    CHECK(live_bytes() == before + 24);  // x, y, the gradient
  }
  CHECK(live_bytes() == before);
}

TEST_CASE("autograd: 100000 ops on one input, gathered by one op, are differentiated", "[autograd]") {
  const int64_t before = live_bytes();
  {
    const int n = 100000;
    const Tensor x = leaf({1}, {1});
    Tensors wide;
    for (int i = 0; i < n; ++i) wide.push_back(same(x));
    const Tensor y = record("gather", Tensor::full({}, n, DType::f64), wide, [n](const Tensor&) {
      Tensors grads;
      for (int i = 0; i < n; ++i) grads.push_back(Tensor::full({1}, i, DType::f64));
      return grads;
    });
    wide.clear();
    backward(y);
    CHECK(x.grad().item() == 0.5 * n * (n - 1.0));
  }
  CHECK(live_bytes() == before);
}

TEST_CASE("autograd: backward() visits each op once, with 2^50 paths in the graph", "[autograd]") {
  const Tensor x = leaf({1}, {1});
  Tensor y = x;
  for (int i = 0; i < 50; ++i) y = plus(y, y);  // 2^50 paths
  backward(y);
  CHECK(x.grad().item() == 0x1p50);
}

TEST_CASE("autograd: a trace lists the ops in order, with attributes, recorded or not", "[autograd]") {
  const Tensor x = leaf({2}, {1, 2}), untracked = Tensor::full({2}, 3, DType::f64);
  const auto named = [](const OpCall& call, const Tensors& inputs) {
    return record(call, Tensor::full({2}, 0, DType::f64), inputs, [](const Tensor&) -> Tensors { return {}; });
  };
  named("before", {x});
  {
    const Trace trace;
    CHECK_THROWS_AS(Trace(), Error);
    const Tensor a = named("a", {x}), b = named({"b", {{"slope", 0.5}, {"eps", 2}}}, {a, untracked, {}});
    const NoGrad no_grad;
    const Tensor c = named("c", {untracked});
    REQUIRE(trace.ops().size() == 3);
    const TracedOp &first = trace.ops()[0], &second = trace.ops()[1], &third = trace.ops()[2];
    CHECK(std::string(first.name) + second.name + third.name == "abc");
    CHECK(first.inputs[0].same_buffer(x));
    CHECK(first.outputs[0].same_buffer(a));
    REQUIRE(second.inputs.size() == 3);
    CHECK(second.inputs[0].same_buffer(a));
    CHECK(second.inputs[0].requires_grad());
    CHECK_FALSE(second.inputs[1].requires_grad());
    CHECK_FALSE(second.inputs[2].defined());
    CHECK(second.attribute("slope") == 0.5);
    CHECK(second.attribute("eps") == 2);
    CHECK_THROWS_AS(first.attribute("slope"), Error);
    CHECK_FALSE(third.outputs[0].requires_grad());
  }
  const Trace next;
  CHECK(next.ops().empty());
}

TEST_CASE("autograd: several threads build and differentiate graphs at once", "[autograd]") {
  Doubles results(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < results.size(); ++t)
    threads.emplace_back([&results, t] {
      const Tensor x = leaf({1}, {1});
      Tensor y = x;
      for (size_t i = 0; i < 20 + t; ++i) y = plus(y, y);
      backward(y);
      results[t] = x.grad().item();
    });
  for (std::thread& t : threads) t.join();
  CHECK(results == Doubles{0x1p20, 0x1p21, 0x1p22, 0x1p23});
}

TEST_CASE("autograd: a leaf is complete once, after its last gradient", "[autograd]") {
  const Tensor a = leaf({1}, {2}), b = leaf({1}, {3}), unreached = leaf({1}, {5});
  // y = a (a b), and an op that gives `unreached` no gradient
  const Tensor product = times(a, times(a, b));
  const Tensor y = record("no_gradient_of_b", product.clone(), {product, unreached}, [](const Tensor& dy) -> Tensors {
    return {dy, {}};
  });
  std::vector<const void*> order;
  std::vector<double> gradients;
  backward(y, {}, [&](const Tensor& leaf) {
    order.push_back(leaf.raw());
    gradients.push_back(leaf.grad().defined() ? leaf.grad().item() : -1);
  });
  CHECK(order == std::vector<const void*>{unreached.raw(), a.raw(), b.raw()});
  CHECK(gradients == Doubles{-1, 12, 4});
}
