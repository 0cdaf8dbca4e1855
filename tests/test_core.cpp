// Errors, tensors, profiles, devices, parallel loops, HighWaterMarks and FastDivider.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>
#include <vector>

#include "core/high_water_marks.h"
#include "core/parallel.h"
#include "core/profile.h"
#include "core/tensor.h"
#include "kernels/cuda/fast_divider.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

TEST_CASE("high water marks: a value is set only above the largest one before", "[core]") {
  HighWaterMarks<int> marks;
  std::vector<size_t> calls;
  const auto raise = [&](int key, size_t value, int status = 0) {
    return marks.raise(key, value, 0, [&] {
      calls.push_back(value);
      return status;
    });
  };
  CHECK(raise(1, 0) == 0);
  CHECK(raise(1, 70) == 0);
  CHECK(raise(1, 50) == 0);
  CHECK(raise(2, 50) == 0);
  CHECK(raise(1, 90, 7) == 7);  // refused, so that 70 is still the mark
  CHECK(raise(1, 80) == 0);
  CHECK(calls == std::vector<size_t>{70, 50, 90, 80});
}

TEST_CASE("errors: a message is one line, whatever the names in it hold") {
  CHECK(one_line("a\nb\tc\rd\x1b[1m\x7f \xc3\xa9") == "a\\nb\\tc\\rd\\x1b[1m\\x7f \xc3\xa9");
  try {
    fail("images/a\nb.png", ": is damaged");
  } catch (const Error& e) {
    CHECK(std::string(e.what()) == "images/a\\nb.png: is damaged");
  }
}

TEST_CASE("errors: the message is one line, and that of GT_CHECK ends with the place in the source", "[core]") {
  CHECK(error_of([] { fail("file.csv:", 3, ": expected ", 2.5); }) == "file.csv:3: expected 2.5");
  CHECK(error_of([] { GT_CHECK(1 > 2, "one is ", 1); }).starts_with("one is 1 ["));
  CHECK(error_of([] { GT_CHECK(1 > 2, "one"); }).find("test_core.cpp:") != std::string::npos);
  CHECK_NOTHROW([] { GT_CHECK(true, "never"); }());
}

TEST_CASE("tensor: shape, type, device and values are those it was created with", "[core][tensor]") {
  const Tensor t = Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(t.shape() == Shape{2, 3});
  CHECK(str_cat(t.shape(), t.dtype(), t.device()) == "(2,3)f32cpu");
  CHECK(t.rank() == 2);
  CHECK(t.size() == 6);
  CHECK(t.bytes() == 24);
  CHECK(t.dim(0) == 2);
  CHECK(t.dim(-1) == 3);
  CHECK(t.values<float>() == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(reinterpret_cast<uintptr_t>(t.raw()) % 64 == 0);

  CHECK(Tensor::zeros({3}, DType::i32).values<int32_t>() == std::vector<int32_t>{0, 0, 0});
  CHECK(Tensor::full({2}, 7, DType::u8).values<uint8_t>() == std::vector<uint8_t>{7, 7});
  CHECK(Tensor::full({}, 2.5, DType::f64).item() == 2.5);
  CHECK(Tensor(Shape{}).size() == 1);
  CHECK(Tensor({0, 5}).size() == 0);
  CHECK(Tensor({0, 5}).values<float>().empty());
}

TEST_CASE("tensor: wrong types, shapes and undefined tensors throw Error", "[core][tensor]") {
  Tensor t = Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor none;
  CHECK_THROWS_AS(t.data<double>(), Error);
  CHECK_THROWS_AS(t.item(), Error);
  CHECK_THROWS_AS(t.dim(2), Error);
  CHECK_THROWS_AS(t.dim(-3), Error);
  CHECK_THROWS_AS(t.view({7}), Error);
  CHECK_THROWS_AS(t.view({-2, -3}), Error);
  CHECK_THROWS_AS(t.copy_from(Tensor({3, 2})), Error);
  CHECK_THROWS_AS(t.copy_from(Tensor({2, 3}, DType::f64)), Error);
  CHECK_THROWS_AS(Tensor::of<float>({2}, {1}), Error);
  CHECK_THROWS_AS(Tensor({2, -1}), Error);
  CHECK_THROWS_AS(Tensor({int64_t(1) << 32, int64_t(1) << 32}), Error);
  CHECK_THROWS_AS(Tensor({int64_t(1) << 61}, DType::f64), Error);
#ifndef __SANITIZE_ADDRESS__                           // AddressSanitizer ends the program
  CHECK_THROWS_AS(Tensor({int64_t(1) << 50}), Error);  // more than any machine has
#endif
  CHECK_THROWS_AS(Tensor({2}, DType::u8).set_requires_grad(), Error);
  CHECK_FALSE(none.defined());
  CHECK_FALSE(none.requires_grad());
  CHECK_FALSE(none.grad().defined());
  CHECK_THROWS_AS(none.shape(), Error);
  CHECK_THROWS_AS(none.raw(), Error);
  CHECK_THROWS_AS(none.detach(), Error);
  CHECK_THROWS_AS(visit_float(DType::u8, []<class T>() { return sizeof(T); }), Error);
  CHECK(visit_float(DType::f64, []<class T>() { return sizeof(T); }) == 8);
}

TEST_CASE("tensor: handles and views share data, clones do not", "[core][tensor]") {
  Tensor t = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
  CHECK(t.sole_owner());
  const Tensor flat = t.view({4});
  Tensor copy = t.clone();
  CHECK_FALSE(t.sole_owner());
  t.data<float>()[0] = 9;
  CHECK(flat.data<float>()[0] == 9);
  CHECK(copy.data<float>()[0] == 1);
  CHECK(flat.same_buffer(t));
  CHECK_FALSE(copy.same_buffer(t));
  CHECK_FALSE(Tensor().same_buffer(Tensor()));
  t.set_requires_grad();
  CHECK_FALSE(t.detach().requires_grad());
  CHECK_FALSE(t.view({4}).requires_grad());
  copy.copy_from(t);
  CHECK(copy.values<float>() == t.values<float>());
}

TEST_CASE("tensor: cast() converts between element types", "[core][tensor]") {
  const std::vector<uint8_t> bytes = {0, 1, 127, 255};
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::u8}) {
    const Tensor converted = Tensor::of<uint8_t>({4}, bytes).cast(dtype);
    CHECK(converted.dtype() == dtype);
    CHECK(converted.cast(DType::u8).values<uint8_t>() == bytes);
  }
  CHECK(Tensor::of<double>({1}, {0.1}).cast(DType::f32).data<float>()[0] == 0.1f);
}

TEST_CASE("device: live_bytes() and peak_bytes() follow tensors", "[core][device]") {
  const int64_t before = live_bytes();
  reset_peak_bytes();
  {
    const Tensor a({1000}), b({10}, DType::u8);
    CHECK(live_bytes() == before + 4010);
    const Tensor shared = a.view({10, 100});
    CHECK(live_bytes() == before + 4010);
  }
  CHECK(live_bytes() == before);
  CHECK(peak_bytes() == before + 4010);
  reset_peak_bytes();
  CHECK(peak_bytes() == before);
}

namespace {

/// An argument of an op's body that reports its cost.
struct Work {
  double flops() const { return 12; }
  std::string label() const { return "3x4"; }
};

namespace cpu {
void double_values(const Work&, int64_t n, const float* x, float* y) {
  const Tensor scratch = Tensor::zeros({n});  // no operand; fill_elements() has a range inside this one
  for (int64_t i = 0; i < n; ++i) y[i] = 2 * x[i] + scratch.data<float>()[i];
}
}  // namespace cpu
#if GT_CUDA
namespace cuda {
using cpu::double_values;
}
#endif

}  // namespace

TEST_CASE("profile: every range has the bytes of its operands, its FLOPs and its own time", "[core][profile]") {
  const Tensor x = Tensor::full({12}, 3), y({12});
  {
    const Profile profile;
    CHECK_THROWS_AS(Profile(), Error);
    {
      const NamedRange step("step");
      for (int k = 0; k < 2; ++k)
        GT_DISPATCH(Device::cpu, double_values, Work{}, x.size(), operand<float>(x), operand<float>(y));
    }
    const std::vector<ProfiledRange>& ranges = profile.ranges();
    REQUIRE(ranges.size() == 5);  // the step, and twice the op and the filling of its scratch
    CHECK(std::string(ranges[0].name) == "step");
    CHECK_FALSE(ranges[0].op);
    CHECK(std::string(ranges[1].name) == "double_values");
    CHECK(ranges[1].op);
    CHECK(ranges[1].depth == 1);
    CHECK(ranges[1].label == "3x4");
    CHECK(ranges[1].bytes == 2 * 12 * 4);
    CHECK(ranges[1].flops == 12);
    CHECK(ranges[2].depth == 2);
    double own = 0;
    for (const ProfiledRange& range : ranges) own += range.own;
    CHECK(own == Approx(ranges[0].end - ranges[0].begin));
    int64_t calls = 0;
    for (const Profile::Total& total : profile.totals(true))
      if (total.name == "double_values") calls = total.calls;
    CHECK(calls == 2);
  }
  CHECK(y.values<float>() == std::vector<float>(12, 6));
  CHECK(current_profile == nullptr);
}

TEST_CASE("profile: a buffer belongs to the op that first has it as an operand, and the peak is the sum", "[profile]") {
  const Tensor x = Tensor::full({1 << 16}, 3);
  const int64_t before = live_bytes(Device::cpu);
  Profile profile;
  {
    const NamedRange step("step");
    Tensor y({x.size()}), unused({100});
    GT_DISPATCH(Device::cpu, double_values, Work{}, x.size(), operand<float>(x), operand<float>(y));
    y = {};
    const Tensor small({10});
  }
  profile.end();
  std::map<std::string, int64_t> held;
  int64_t sum = 0;
  for (const Profile::Holder& h : profile.peak_holders()) {
    held[h.name] += h.bytes;
    sum += h.bytes;
    if (h.name == "double_values") CHECK((h.op && h.label == "3x4"));
  }
  CHECK(held["double_values"] == 2 * (4 << 16));  // y, and the workspace of the body
  CHECK(held["step"] == 400);
  CHECK(held[Profile::before] == before);
  CHECK(sum == profile.ranges()[0].max_live);

  int samples = 0;
  const auto trace = nlohmann::json::parse(profile.trace());
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] != "C") continue;
    ++samples;
    CHECK(event["args"]["double_values"] >= 4 << 16);
    CHECK(event["args"]["(before)"] == before);
  }
  CHECK(samples == 2);  // after the op, and after the filling of its workspace
}

TEST_CASE("device: auto falls back to the CPU and gives the reason, cuda throws it", "[core][device]") {
  std::string why;
  CHECK(choose_device("cpu", &why) == Device::cpu);
  CHECK(why.empty());
  CHECK_THROWS_AS(choose_device("gpu"), Error);
  const CudaStatus& status = cuda_status();
  CHECK_FALSE(status.reason.empty());
  const Device chosen = choose_device("auto", &why);
  if (status.state == CudaState::device) {
    CHECK(chosen == (GT_EMULATE ? Device::cpu : Device::cuda));
    CHECK(choose_device("cuda") == Device::cuda);
  } else {
    CHECK(chosen == Device::cpu);
    CHECK(choose_device("auto", nullptr) == Device::cpu);
    CHECK(why == status.reason);
    CHECK(error_of([] { choose_device("cuda"); }).find(status.reason) != std::string::npos);
    CHECK_THROWS_AS(require_device(Device::cuda), Error);
    CHECK_THROWS_AS(Tensor({1}, DType::f32, Device::cuda), Error);
  }
}

TEST_CASE("parallel_for: calls cover every item once, in blocks of the given size", "[core][parallel]") {
  for (const int64_t n : {0, 1, 2, 7, 64, 65, 1000})
    for (const int64_t block : {1, 3, 64, 5000}) {
      std::vector<int> hits(size_t(n), 0);
      parallel_for(n, block, [&](int64_t begin, int64_t end) {
        if (begin % block != 0 || end - begin > block || (end < n && end - begin < block)) hits.assign(1, -1);
        for (int64_t i = begin; i < end; ++i) ++hits[size_t(i)];
      });
      CHECK(hits == std::vector<int>(size_t(n), 1));
    }
}

TEST_CASE("parallel_sum: every number of threads gives the same bits", "[core][parallel]") {
  const int before = num_threads();
  std::vector<double> terms(100003);
  for (size_t i = 0; i < terms.size(); ++i) terms[i] = std::sin(double(i)) * std::pow(10.0, double(i % 17) - 8);
  const auto total = [&] {
    return parallel_sum<double>(int64_t(terms.size()), 1000, [&](int64_t begin, int64_t end) {
      return std::accumulate(terms.begin() + begin, terms.begin() + end, 0.0);
    });
  };
  set_num_threads(1);
  const double one = total();
  for (const int threads : {2, 3, 8}) {
    set_num_threads(threads);
    CHECK(num_threads() == threads);
    CHECK(total() == one);
  }
  CHECK(parallel_sum<double>(0, 8, [](int64_t, int64_t) { return 1.0; }) == 0);
  set_num_threads(0);
  cpu_set_t processors;
  REQUIRE(sched_getaffinity(0, sizeof processors, &processors) == 0);
  CHECK(num_threads() == CPU_COUNT(&processors));
  CHECK_THROWS_AS(set_num_threads(-1), Error);
  set_num_threads(before);
}

TEST_CASE("parallel_for: every block runs once, also in loops inside of loops and of several threads",
          "[core][parallel]") {
  const int before = num_threads();
  for (const int threads : {1, 2, 5}) {
    set_num_threads(threads);
    std::atomic<bool> index_fits = true;
    const auto runs_each_once = [&](int64_t n) {
      std::vector<std::atomic<int>> count(static_cast<size_t>(n * n));
      parallel_for(n, 1, [&](int64_t i, int64_t) {
        if (thread_index() < 0 || thread_index() >= threads) index_fits = false;
        parallel_for(n, 2, [&](int64_t begin, int64_t end) {
          for (int64_t j = begin; j < end; ++j) ++count[size_t(i * n + j)];
        });
      });
      return std::all_of(count.begin(), count.end(), [](const auto& c) { return c == 1; });
    };
    for (const int64_t n : {0, 1, 2, 3, 64}) CHECK(runs_each_once(n));
    std::atomic<int> good = 0;
    const auto many = [&] {
      for (int k = 0; k < 500; ++k) good += runs_each_once(7);
    };
    std::thread other(many);
    many();
    other.join();
    CHECK(good == 1000);
    CHECK(index_fits);
  }
  set_num_threads(before);
}

TEST_CASE("parallel_for: a thread that loses its core delays a loop by one block at most", "[core][parallel]") {
  const int before = num_threads();
  set_num_threads(2);
  std::atomic<int> held = 0, done = 0;
  std::atomic<bool> released = false;
  parallel_for(64, 1, [&](int64_t, int64_t) {
    if (thread_index() == 1 && held.exchange(1) == 0)  // the other thread stops in its first block
      while (!released) std::this_thread::yield();
    if (++done == 63) released = true;  // the caller has run all other blocks
    if (held == 0 && done == 64) released = true;
  });
  CHECK(done == 64);
  set_num_threads(before);
}

TEST_CASE("FastDivider: quotient and remainder are exact up to 2^31 - 1", "[core]") {
  const uint32_t most = (uint32_t(1) << 31) - 1;
  for (const uint32_t d : {1u, 2u, 3u, 5u, 7u, 49u, 64u, 641u, 65535u, 65537u, 1000003u, most - 1, most, most + 1}) {
    const gpu::FastDivider by(d);
    const auto check = [&](uint32_t n) {
      INFO(n << " / " << d);
      CHECK(by.quotient(n) == n / d);
      CHECK(by.remainder(n) == n % d);
    };
    for (uint32_t k = 0; k < 1000; ++k) check(k), check(most - k), check(uint32_t(uint64_t(k) * most / 1000));
    for (uint64_t multiple = d; multiple <= most; multiple *= 3)
      check(uint32_t(multiple)), check(uint32_t(multiple - 1));
  }
  CHECK(gpu::FastDivider().quotient(77) == 77);
}
