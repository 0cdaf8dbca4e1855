// Plans of training steps on device cuda, real or emulated, compared with measured steps.
#include "tests/catch.h"
#include "tests/plan_checks.h"

using namespace gt;

TEST_CASE("device: the plan of a step equals the measured step", "[device][plan]") {
  for (const char* precision : {"f32", "bf16"}) {
    INFO(precision);
    Config config = small_config("gradtrack");
    config.precision = precision;
    config.data.size = 16;
    config.train.batch = 2;
    check_plan(config, Device::cuda);
    const StepPlan plan = plan_step(config, Device::cuda);
    int64_t kernels = 0, library_calls = 0;
    for (const ProfiledRange& range : plan.profile->ranges()) {
      kernels += range.kernels;
      library_calls += range.library_calls;
    }
    CHECK(kernels > 100);
    CHECK(library_calls > 60);  // three passes of about twenty convolutions
  }
}
