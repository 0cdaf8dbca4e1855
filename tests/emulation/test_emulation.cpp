// The emulation follows CUDA's rules in every order of threads, and works after errors.
#include "core/emulation/emulation.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "core/cuda_graph.h"
#include "core/kernel_info.h"
#include "core/launch.cuh"
#include "core/profile.h"
#include "core/upload.h"
#include "kernels/ops.h"
#include "tests/catch.h"
#include "tests/emulation/faults.h"
#include "tests/emulation/host_code.h"
#include "tests/emulation/semantics.h"
#include "tests/temp_folder.h"

using namespace gt;
using emulation::Options;
using emulation::Order;

namespace {

/// Sets the emulation's options while it is alive.
struct WithOptions {
  explicit WithOptions(const Options& options) : before(emulation::options()) { emulation::options() = options; }
  ~WithOptions() { emulation::options() = before; }
  Options before;
};

std::vector<int> order_of(const Options& options, int threads) {
  const WithOptions with(options);
  std::vector<int> order(size_t(2 * threads), -1);
  begin_order(threads, order.data());
  return order;
}

}  // namespace

TEST_CASE("emulation: CUDA's rules hold in every order of threads", "[emulation]") {
  CHECK(semantics().size() >= 15);
  emulation::clear_races();
  for (const Options& options : {Options{}, Options{Order::reverse}, Options{Order::shuffled, 1},
                                 Options{Order::shuffled, 2}, Options{Order::shuffled, 3}}) {
    const WithOptions with(options);
    for (const Rule& rule : semantics()) {
      INFO(rule.name << ", order " << int(options.order) << ":" << options.seed);
      CHECK(rule.check() == "");
    }
  }
  const std::vector<std::string> races = emulation::races();
  INFO((races.empty() ? "" : races[0]));
  CHECK(races.empty());
}

TEST_CASE("emulation: threads and blocks begin forward, in reverse or shuffled by a seed", "[emulation]") {
  const int n = 70;
  std::vector<int> forward(2 * n);
  std::iota(forward.begin(), forward.end(), 0);
  CHECK(order_of({}, n) == forward);
  CHECK(order_of({Order::reverse}, n) == std::vector<int>(forward.rbegin(), forward.rend()));
  std::vector<int> shuffled = order_of({Order::shuffled, 1}, n);
  CHECK(shuffled == order_of({Order::shuffled, 1}, n));
  CHECK(shuffled != order_of({Order::shuffled, 2}, n));
  CHECK(shuffled != forward);
  std::sort(shuffled.begin(), shuffled.end());
  CHECK(shuffled == forward);
}

TEST_CASE("emulation: an unknown GT_EMULATE_ORDER is refused", "[emulation]") {
  for (const char* order : {"backward", "shuffled:", "shuffled:1x", "shuffled:-1", "forward "}) {
    const std::string command = "GT_EMULATE_ORDER='" + std::string(order) + "' " + GT_FAULTS + " missing_barrier 2>&1";
    INFO(order);
    CHECK(std::system((command + " | grep -q 'expected forward, reverse or shuffled:SEED'").c_str()) == 0);
  }
}

TEST_CASE("emulation: misuse throws Error with the place in the source, and later kernels run", "[emulation]") {
  const auto later_kernels_run = [] { return semantics().at(1).check() == ""; };
  const auto check = [&](const std::string& message, const std::string& part) {
    INFO(message);
    CHECK(message.find(part) != std::string::npos);
    CHECK(later_kernels_run());
  };
  check(error_of(launch_in_a_kernel), "launch inside a kernel at ");
  check(error_of(barrier_outside_of_a_kernel), "outside of a kernel at ");
  check(error_of(throw_in_a_kernel), "thread 5 throws");
  check(error_of(shuffle_of_odd_width), "shuffle of width 5 at ");
  check(error_of([] { argument_out_of_range(1LL << 31); }), ": 2147483648 does not fit the kernel's parameter");
  CHECK(error_of([] { argument_out_of_range(7); }) == "");
  int faults_with_errors = 0;
  for (const Fault& fault : faults()) {
    if (fault.error == nullptr) continue;
    check(run_fault(fault.faulty).error, fault.error);
    ++faults_with_errors;
  }
  CHECK(faults_with_errors >= 10);
}

TEST_CASE("emulation: blocks can wait for each other only if the device holds all of them", "[emulation]") {
  const auto& rules = semantics();
  const auto rule = std::find_if(rules.begin(), rules.end(),
                                 [](const Rule& r) { return std::string(r.name) == "blocks_wait_for_each_other"; });
  REQUIRE(rule != rules.end());
  const auto with_blocks_at_once = [&](size_t blocks) {
    const WithOptions with({.blocks_at_once = blocks});
    std::string wrong;
    const std::string error = error_of([&] { wrong = rule->check(); });
    CHECK(wrong == "");
    return error;
  };
  CHECK(with_blocks_at_once(10) == "");
  const std::string error = with_blocks_at_once(9);
  INFO(error);
  CHECK(error.find("waits for other blocks at ") != std::string::npos);
  CHECK(error.find("9 blocks on the device wait") != std::string::npos);
}

TEST_CASE("emulation: an error on the device is thrown by a profiled op", "[emulation]") {
  const WithOptions with({.late_errors = true});
  const auto op = [](auto&& body) { OpRange("op", Device::cuda)(body); };
  throw_in_a_kernel();
  CHECK(error_of([] { synchronize(Device::cuda); }).find("thread 5 throws") != std::string::npos);
  const Profile profile;
  CHECK(error_of([&] { op([] { throw_in_a_kernel(); }); }).find("thread 5 throws") != std::string::npos);
  CHECK(error_of([&] { op([] { fail("the body fails"); }); }) == "the body fails");
  CHECK(OpRange("op", Device::cuda)([] { return 3; }) == 3);
}

TEST_CASE("emulation: a CUDA graph replays its launches with copies of their arguments", "[emulation]") {
  int value = 1, calls = 0, result = 0;
  const Tensor x = Tensor::zeros({4}, DType::f32, Device::cuda), y = Tensor::zeros({4}, DType::f32, Device::cuda);
  CudaGraph graph;
  graph.record([&] {
    ++calls;
    store_in_a_kernel(value, &result);
    const Tensor sum = add(x, x);
    copy_bytes(y.raw(), Device::cuda, sum.raw(), Device::cuda, sum.bytes());
  });
  CHECK(result == 0);
  value = 2;
  for (const double fill : {3.0, 4.0}) {
    result = 0;
    Upload{x}(Tensor::full({4}, fill));
    graph.replay();
    CHECK(result == 1);
    CHECK(y.values<float>() == std::vector<float>(4, float(2 * fill)));
  }
  CHECK(calls == 1);
  CudaGraph other;
  CHECK(error_of([&] { other.record([&] { x.values<float>(); }); }).find("while a CUDA graph is recorded") !=
        std::string::npos);
  CHECK_FALSE(other.recorded());
  CHECK(x.values<float>().size() == 4);
}

TEST_CASE("emulation: a profile has the launches, and the kernels' names are known", "[emulation]") {
  int result = 0;
  Profile profile;
  store_in_a_kernel(1, &result);
  store_in_a_kernel(1, &result);
  profile.end();
  REQUIRE(profile.launches().size() == 1);
  const auto& [launch, times] = *profile.launches().begin();
  CHECK(times == 2);
  CHECK(launch.threads == 1);
  CHECK(launch.shared_bytes == 0);
  CHECK(kernel_name(launch.kernel) == "gt::(anonymous namespace)::store(int, int*)");
  CHECK(kernel_name(&result) == "a kernel");
}

TEST_CASE("emulation: a launch within the kernel's bounds runs, and one above names the kernel", "[emulation]") {
  const auto& all = faults();
  const auto fault =
      std::find_if(all.begin(), all.end(), [](const Fault& f) { return std::string(f.name) == "above_launch_bounds"; });
  REQUIRE(fault != all.end());
  CHECK(run_fault(fault->correct).error == "");
  const std::string error = run_fault(fault->faulty).error;
  INFO(error);
  CHECK(error.find("above_launch_bounds<true>(float const*, float*) allows 63") != std::string::npos);
}

TEST_CASE("emulation: blocks_for() covers all items", "[emulation]") {
  CHECK(blocks_for(0, 256) == 0);
  CHECK(blocks_for(1, 256) == 1);
  CHECK(blocks_for(256, 256) == 1);
  CHECK(blocks_for(257, 256) == 2);
  CHECK(blocks_for(0x7fffffffLL * 1024, 1024) == 0x7fffffff);
  CHECK(error_of([] { blocks_for(0x7fffffffLL * 1024 + 1, 1024); }).find("2^31 - 1") != std::string::npos);
}

TEST_CASE("emulation: host code in kernel files runs on several threads", "[emulation]") {
  emulation::clear_races();
  CHECK(sum_in_host_code(1000) == 250000 * 2 + 249500);
  CHECK(launches_of_host_threads(4, 10) == 4 * 10 * 40);
  CHECK(emulation::races().empty());
}
