// Dry runs, and plans of training steps compared with measured steps.
#include "core/dry_run.h"
#include "core/parallel.h"
#include "kernels/ops.h"
#include "tests/plan_checks.h"

using namespace gt;

TEST_CASE("plan: normalize_max() refuses maps whose elements 32 bits cannot count", "[plan][ops]") {
  const DryRun dry;
  const int64_t side = int64_t(1) << 16;
  CHECK_NOTHROW(normalize_max(Tensor({2, side / 2, side - 1})));
  CHECK_THROWS_AS(normalize_max(Tensor({2, side / 2, side})), Error);
}

TEST_CASE("plan: a dry run computes nothing and counts memory that it does not allocate", "[plan]") {
  const int64_t before = live_bytes();
  const Tensor real = Tensor::full({2}, 3);
  {
    const DryRun dry;
    CHECK(dry_run());
    CHECK_THROWS_AS(DryRun(), Error);
    bool called = false;
    parallel_for(10, 1, [&](int64_t, int64_t) { called = true; });
    CHECK_FALSE(called);
    const int64_t start = live_bytes();
    const Tensor huge({int64_t(1) << 36}), more = add(huge, huge);  // 256 GiB each
    CHECK(live_bytes() == start + (int64_t(1) << 39));
    CHECK(more.data<float>()[(int64_t(1) << 36) - 1] == 0);
    CHECK(real.clone().data<float>()[0] == 0);
  }
  CHECK_FALSE(dry_run());
  CHECK(real.clone().data<float>()[0] == 3);
  CHECK(live_bytes() == before + 8);
}

TEST_CASE("plan: the plan of a step equals the measured step in every byte", "[plan]") {
  for (const char* recipe : {"gradtrack", "gazemedseg", "full"})
    for (const char* kind : {"sgd", "adamw"}) {
      INFO(recipe << ", " << kind);
      Config config = small_config(recipe);
      config.optimizer.kind = kind;
      check_plan(config, Device::cpu);
    }
}

TEST_CASE("plan: accumulated batches take the memory of one and of the gradients that are kept", "[plan]") {
  Config config = small_config("gradtrack");
  const StepPlan one = plan_step(config, Device::cpu);
  config.optimizer.clip = 1;
  config.train.accumulate = 2;
  check_plan(config, Device::cpu);
  const StepPlan two = plan_step(config, Device::cpu);
  config.train.accumulate = 5;
  const StepPlan five = plan_step(config, Device::cpu);
  CHECK(five.peak() - two.peak() == five.batch() - two.batch());  // the images and tracks of three batches
  CHECK(five.peak() - two.peak() < two.peak() / 20);
  CHECK(five.activations() - one.activations() <= 16);
  CHECK(five.part_of(five.peak_op()) == std::string("backward"));
  CHECK(two.peak() > one.peak());
  CHECK(two.peak() <= one.peak() + one.parameters + 4096);
}

TEST_CASE("plan: the peak is in the backward pass, and activations grow with the batch", "[plan]") {
  Config config = small_config("gradtrack");
  const StepPlan small = plan_step(config, Device::cpu);
  CHECK(small.part_of(small.peak_op()) == std::string("backward"));
  CHECK(small.peak_op().op);
  config.train.batch *= 4;
  const StepPlan large = plan_step(config, Device::cpu);
  CHECK(large.parameters == small.parameters);
  CHECK(double(large.activations()) / double(small.activations()) == Approx(4).epsilon(0.01));
}
