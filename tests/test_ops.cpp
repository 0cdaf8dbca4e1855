// Every row of the op table (kernels/cases) with every check, each as a separate test: `ctest -R conv2d` runs those
// of conv2d.
#include <set>

#include "core/parallel.h"
#include "tests/op_checks.h"

using namespace gt;

namespace {

Random stream(const OpCase& c) { return Random(7, hash64(c.name)); }

void check_gradients_of(const OpCase& c) { check_op_gradients(c, Device::cpu, 200); }

void check_against_composed(const OpCase& c) {
  for (const Sizes& sizes : c.sizes)
    for (const DType dtype : {DType::f32, DType::f64}) {
      Maker maker{dtype, stream(c)};
      const Tensors inputs = c.inputs(sizes, maker);
      const Tensors fused = run_with_gradients(c.op, inputs, Random(5));
      const Tensors composed = run_with_gradients(c.composed, inputs, Random(5));
      REQUIRE(fused.size() >= 2);  // an output and a gradient
      REQUIRE(fused.size() == composed.size());
      for (size_t i = 0; i < fused.size(); ++i) {
        INFO("sizes " << Shape(sizes) << " " << dtype << " result " << i << " " << fused[i].shape());
        CHECK(relative_difference(fused[i], composed[i], min_scale(composed)) <
              (dtype == DType::f32 ? c.f32_tolerance : 1e-11));
      }
    }
}

void check_same_bits(const OpCase& c) {
  const int threads = num_threads();
  for (const Sizes& sizes : c.sizes) {
    Maker maker{DType::f32, stream(c)};
    const Tensors inputs = c.inputs(sizes, maker);
    const Tensors first = run_with_gradients(c.op, inputs, Random(5));
    REQUIRE(first.size() >= 2);
    for (const int n : {1, 2, 3}) {
      set_num_threads(n);
      const Tensors again = run_with_gradients(c.op, inputs, Random(5));
      REQUIRE(first.size() == again.size());
      for (size_t i = 0; i < first.size(); ++i) {
        INFO("sizes " << Shape(sizes) << " result " << i << " with " << n << " threads");
        CHECK(same_bits(first[i], again[i]));
      }
    }
    set_num_threads(threads);
  }
}

void check_memory(const OpCase& c) {
  for (const Sizes& sizes : c.sizes) {
    const int64_t before = live_bytes();
    {
      Maker maker{DType::f32, stream(c)};
      run_with_gradients(c.op, c.inputs(sizes, maker), Random(5));
      const Tensors dropped = c.op(c.inputs(sizes, maker));  // its graph is freed without backward()
      CHECK(live_bytes() > before);
    }
    INFO("sizes " << Shape(sizes));
    CHECK(live_bytes() == before);
  }
}

void check_wrong_shapes(const OpCase& c) {
  REQUIRE(c.wrong);
  CHECK_THROWS_AS(c.wrong(), Error);
}

void check_cost(const OpCase& c) {
  REQUIRE(c.cost);
  REQUIRE(c.backward);
  for (const Sizes& sizes : c.large) {
    INFO("sizes " << Shape(sizes));
    CHECK(c.cost(sizes).bytes > 0);
    CHECK(c.backward(sizes).bytes > 0);
  }
}

const std::vector<OpCheck> checks = {
    {"gradients match finite differences", "[ops]", check_gradients_of},
    {"values and gradients agree with other ops or plain loops", "[ops]", check_against_composed,
     [](const OpCase& c) { return c.composed != nullptr; }},
    {"runs with 1, 2 and 3 threads give the same bits", "[ops]", check_same_bits},
    {"frees all memory", "[ops]", check_memory},
    {"refuses wrong shapes", "[ops]", check_wrong_shapes},
    {"states its bytes for the benchmark", "[ops]", check_cost, [](const OpCase& c) { return !c.large.empty(); }},
};

const GeneratedTests tests_of_ops([] { add_op_tests("", checks); });

}  // namespace

TEST_CASE("op table: every row has a unique name, sizes and an op", "[ops]") {
  CHECK(op_table().size() >= 50);
  std::set<std::string> names;
  for (const OpCase& c : op_table()) {
    INFO(c.name);
    CHECK(names.insert(c.name).second);
    CHECK_FALSE(c.sizes.empty());
    CHECK(c.op != nullptr);
  }
}
