// Every row of op_cases.h, through everything.
#include "core/parallel.h"
#include "kernels/cases/check_op.h"
#include "tests/catch.h"

using namespace gt;

namespace {

constexpr double gradient_limit = 1e-6;

Random stream(const OpCase& c) { return Random(7, hash64(c.name)); }

}  // namespace

TEST_CASE("every op: gradients match finite differences in double", "[ops]") {
  for (const OpCase& c : op_cases())
    for (const Sizes& sizes : c.sizes) {
      const GradCheck result = check_gradients(c, sizes);
      INFO(c.name << ": " << result.where);
      CHECK(result.worst < gradient_limit);
    }
}

TEST_CASE("every fused op agrees with its composed twin, values and gradients", "[ops]") {
  for (const OpCase& c : op_cases()) {
    if (!c.composed) continue;
    for (const Sizes& sizes : c.sizes)
      for (const DType dtype : {DType::f32, DType::f64}) {
        Maker maker{dtype, stream(c)};
        const Tensors inputs = c.inputs(sizes, maker);
        const Tensors fused = run_with_gradients(c.op, inputs, Random(5));
        const Tensors composed = run_with_gradients(c.composed, inputs, Random(5));
        REQUIRE(fused.size() == composed.size());
        for (size_t i = 0; i < fused.size(); ++i) {
          INFO(c.name << " " << dtype << " result " << i << " " << fused[i].shape());
          CHECK(relative_difference(fused[i], composed[i], min_scale(composed)) <
                (dtype == DType::f32 ? c.f32_tolerance : 1e-11));
        }
      }
  }
}

TEST_CASE("every op gives the same bits again, and with another number of threads", "[ops]") {
  const int threads = num_threads();
  for (const OpCase& c : op_cases())
    for (const Sizes& sizes : c.sizes) {
      Maker maker{DType::f32, stream(c)};
      const Tensors inputs = c.inputs(sizes, maker);
      const Tensors first = run_with_gradients(c.op, inputs, Random(5));
      for (const int n : {threads, 1, 3}) {
        set_num_threads(n);
        const Tensors again = run_with_gradients(c.op, inputs, Random(5));
        REQUIRE(first.size() == again.size());
        for (size_t i = 0; i < first.size(); ++i) {
          INFO(c.name << " result " << i << " with " << n << " threads");
          CHECK(same_bits(first[i], again[i]));
        }
      }
      set_num_threads(threads);
    }
}

TEST_CASE("every op gives its memory back", "[ops]") {
  for (const OpCase& c : op_cases())
    for (const Sizes& sizes : c.sizes) {
      const int64_t before = live_bytes();
      {
        Maker maker{DType::f32, stream(c)};
        run_with_gradients(c.op, c.inputs(sizes, maker), Random(5));
        c.op(c.inputs(sizes, maker));  // dropped without backward
      }
      INFO(c.name);
      CHECK(live_bytes() == before);
    }
}

TEST_CASE("every op refuses wrong shapes", "[ops]") {
  for (const OpCase& c : op_cases()) {
    INFO(c.name);
    REQUIRE(c.wrong);
    CHECK_THROWS_AS(c.wrong(), Error);
  }
}

TEST_CASE("every op that is timed says what it moves and computes", "[ops]") {
  for (const OpCase& c : op_cases())
    for (const Sizes& sizes : c.large) {
      INFO(c.name);
      REQUIRE(c.cost);
      REQUIRE(c.backward);
      CHECK(c.cost(sizes).bytes > 0);
      CHECK(c.backward(sizes).bytes > 0);
    }
}
